"""Which errors concern one case, and which the whole run."""

from sluice.errors import UpstreamRefused

_ABOUT_THE_CASE = {400, 413, 422}


def is_about_the_case(error: UpstreamRefused) -> bool:
    """Whether the gateway refused what was sent (too long, not allowed by a policy), so that asking again is no use.

    Everything else (no such model, an exhausted budget, a busy or failing upstream) says nothing about what is being
    evaluated: it stops the run, which goes on from there when it is repeated.
    """
    return error.status in _ABOUT_THE_CASE
