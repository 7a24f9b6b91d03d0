"""Every failure a user can meet, with its fix, mapped once to HTTP and once to the command line.

`SluiceError` carries what both faces need. The gateway renders it with `openai_body`; the command line prints
`str(error)` on one line and exits with `exit_code`.
"""

from typing import Any

SEND_AGAIN = "Send the request again later."
"""The fix of what passes by itself."""


class SluiceError(Exception):
    """A failure with a message for its user and, where there is one, the fix.

    Args:
        message: what is wrong, one sentence.
        fix: what to do about it, one sentence or a command; shown after the message.
        param: the request field or setting that is at fault.
        code: a machine-readable name that replaces the class's own.
    """

    status: int = 500
    type: str = "server_error"
    code: str | None = None
    exit_code: int = 1
    retry_after: bytes | None = None

    def __init__(self, message: str, *, fix: str = "", param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.param = param
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.fix}" if self.fix else self.message


class ConfigurationError(SluiceError):
    """A settings file or variable is wrong."""

    code = "configuration_error"
    exit_code = 2


class MissingRequirement(SluiceError):
    """Something that must be installed, fetched or started first is not there."""

    code = "missing_requirement"


class ProcessFailed(SluiceError):
    """A child process ended or did not become healthy."""

    code = "process_failed"


class StateUnavailable(SluiceError):
    """What is kept cannot be used: the database, an index, a store."""

    status = 503
    code = "state_unavailable"


class InvalidRequest(SluiceError):
    """The request is malformed or holds a wrong value."""

    status = 400
    type = "invalid_request_error"
    exit_code = 2


class NotAuthenticated(SluiceError):
    """The key is missing, unknown, expired or revoked; the answer never says which."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"

    def __init__(self) -> None:
        super().__init__(
            "Incorrect or missing API key.", fix="Send a valid key as 'Authorization: Bearer sk-sluice-…'."
        )


class NotAllowed(SluiceError):
    """The key is valid, but its owner may not do this."""

    status = 403
    type = "invalid_request_error"
    code = "not_allowed"


class NotFound(SluiceError):
    """The thing named does not exist, or not for this key."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class Conflict(SluiceError):
    """The thing is not in the state that this needs."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"


class GateRefused(Conflict):
    """A promotion without a passing gate, or without a person's approval."""

    code = "gate_refused"


class BudgetExhausted(SluiceError):
    """The call does not fit what is left of a budget: `left` tokens, where it counts tokens."""

    left: int | None = None
    status = 429
    type = "insufficient_quota"
    code = "budget_exhausted"


class RateLimited(SluiceError):
    """The call comes too early for a limit."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class MethodNotAllowed(SluiceError):
    """The path exists, but not with this method."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class RequestTimeout(SluiceError):
    """The client took too long to send its request."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class RequestTooLarge(SluiceError):
    """The request is larger than the gateway takes."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class UpstreamFailed(SluiceError):
    """The upstream cannot be reached, broke the protocol, or closed in the middle of its answer."""

    status = 502
    code = "upstream_failed"


class UpstreamUnreachable(UpstreamFailed):
    """Nothing listens where the upstream should be, or the way there is closed."""


class UpstreamRefused(SluiceError):
    """The upstream answered with an error of its own, passed on in OpenAI's shape with its status."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        param: str | None = None,
        code: str | None = None,
        retry_after: bytes | None = None,
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.status = status
        self.type = (
            "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
        )
        self.retry_after = retry_after


class UpstreamTimeout(SluiceError):
    """The upstream did not answer in time."""

    status = 504
    code = "upstream_timeout"


class Overloaded(SluiceError):
    """No more work can be taken at the moment."""

    status = 503
    code = "overloaded"


class Stopping(SluiceError):
    """The gateway is going down and takes nothing new, or ends what is still open."""

    status = 503
    code = "stopping"

    def __init__(self) -> None:
        super().__init__("The gateway is stopping.", fix="Send the request again.")


def openai_body(error: SluiceError) -> dict[str, Any]:
    """The error object of OpenAI's API (`components.schemas.ErrorResponse` of its OpenAPI document)."""
    return {"error": {"message": str(error), "type": error.type, "param": error.param, "code": error.code}}
