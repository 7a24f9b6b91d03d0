"""Failures after which the upstream has certainly not worked on the request."""

from sluice.errors import (
    InvalidRequest,
    Overloaded,
    SluiceError,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)


class TurnedAway(UpstreamFailed):
    """The upstream answered without looking at the request: it wants other credentials, or another address."""


class NotConnectedInTime(UpstreamTimeout):
    """No connection within `connect_seconds`."""


class CircuitOpen(Overloaded):
    """The upstream failed lately, and nothing is sent to it for some seconds."""

    code = "circuit_open"

    def __init__(self, upstream: str, seconds: int) -> None:
        super().__init__(f"The upstream '{upstream}' has failed too often and is left alone for {seconds} s.")
        self.seconds = seconds
        self.retry_after = b"%d" % seconds


def did_no_work(error: SluiceError) -> bool:
    """Whether an upstream that failed so has neither read the prompt nor written anything."""
    if isinstance(error, UpstreamRefused):
        return error.status < 500 or error.status == 503
    return isinstance(error, UpstreamUnreachable | NotConnectedInTime | TurnedAway | Overloaded | InvalidRequest)
