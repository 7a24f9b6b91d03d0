"""Failures after which the upstream has certainly not worked on the request."""

from sluice.errors import (
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


def did_no_work(error: SluiceError) -> bool:
    """Whether an upstream that failed so has neither read the prompt nor written anything."""
    if isinstance(error, UpstreamRefused):
        return error.status < 500 or error.status == 503
    return isinstance(error, UpstreamUnreachable | NotConnectedInTime | TurnedAway | Overloaded)
