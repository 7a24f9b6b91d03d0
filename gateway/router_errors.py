"""What vLLM's router says itself, which is plain text, in the gateway's words.

A field of the wrong type it refuses with 422, where vLLM says 400 and which field. Of a replica that breaks off or
cannot be reached it tells the address, which is none of a client's business, as its own fault (500). Where no replica
is left it does not say when to come again.
"""

import re

from sluice.errors import SluiceError, UpstreamFailed, UpstreamRefused

_WRONG_BODY = re.compile(
    r"Failed to (?:parse|deserialize) the (?:request body as JSON|JSON body into the target type): "
    r"(?:(?P<param>[\w.\[\]]{1,100}): )?(?P<problem>.*?)(?: at line \d+ column \d+)?",
    re.DOTALL,
)
_MISSING = re.compile(r"missing field `(\w+)`")
_REPLICA_LOST = ("Request failed: ", "Failed to get response body: ", "Backend request failed: ")
_NONE_LEFT = "No available workers"
RETRY_SECONDS = b"5"
"""How long its circuit breaker stays open, and between two looks at a replica, unless it was told otherwise."""
LONGEST_PROBLEM = 300


def router_error(text: str) -> SluiceError | None:
    """The error for an answer that the router made up; None if it did not."""
    if text.startswith(_NONE_LEFT):
        message = "No replica of the model can answer at the moment."
        return UpstreamRefused(message, status=503, code="no_replica", retry_after=RETRY_SECONDS)
    if text.startswith(_REPLICA_LOST):
        return UpstreamFailed("A replica of the model cannot be reached, or broke off.")
    if wrong := _WRONG_BODY.fullmatch(text):
        param, problem = wrong["param"], wrong["problem"][:LONGEST_PROBLEM]
        if missing := _MISSING.fullmatch(problem):
            param = f"{param}.{missing[1]}" if param else missing[1]
        return UpstreamRefused(f"'{param}': {problem}." if param else f"{problem}.", status=400, param=param)
    return None
