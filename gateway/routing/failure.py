"""What kind of failure an error is: it decides whether anything else may be tried, and what."""

from dataclasses import dataclass

from sluice.errors import Overloaded, SluiceError, UpstreamFailed, UpstreamRefused, UpstreamTimeout
from sluice.route_settings import FailureClass

CONTENT_CODES = frozenset({"content_filter", "content_policy_violation"})
"""As Azure and as OpenAI name it."""


def class_of(error: SluiceError) -> FailureClass | None:
    """The error's class; None where the request itself is at fault, or the gateway."""
    if isinstance(error, UpstreamRefused):
        if error.status >= 500:
            return "unavailable"
        if error.status == 429:
            return "rate_limited"
        if error.code == "context_length_exceeded":
            return "too_long"
        return "refused_content" if error.code in CONTENT_CODES else None
    return "unavailable" if isinstance(error, UpstreamFailed | UpstreamTimeout | Overloaded) else None


def is_the_upstreams(error: SluiceError) -> bool:
    """Whether the error speaks against the upstream's health: not what a client caused, nor our own limit."""
    return class_of(error) == "unavailable" and not isinstance(error, Overloaded)


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt after which there may have been others.

    Attributes:
        upstream: its name.
        seconds: how long it took.
        may_have_cost: whether the upstream may have read the prompt, or written something.
    """

    upstream: str
    failure: SluiceError
    seconds: float
    may_have_cost: bool
