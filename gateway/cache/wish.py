"""Whether a request may be answered from the cache: what its header says, and what its body asks for."""

import msgspec

from gateway.endpoints import Endpoint
from gateway.upstream import Header
from sluice.errors import InvalidRequest

HEADER = b"x-sluice-cache"
WISHES = frozenset({b"use", b"refresh", b"bypass"})


class Sampling(msgspec.Struct):
    """What of a body decides how an answer is chosen, and how long it may be."""

    temperature: float | None = None
    n: int | None = None
    best_of: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None

    @property
    def deterministic(self) -> bool:
        """One answer, the likeliest; only where the request says so itself, for each server has a default of its own."""
        return self.temperature == 0 and (self.n or 1) <= 1 and (self.best_of or 1) <= 1

    @property
    def bounded(self) -> bool:
        """The client limits its answer itself."""
        return self.max_tokens is not None or self.max_completion_tokens is not None


_samplings = msgspec.json.Decoder(Sampling)


def read_wish(headers: list[Header]) -> bytes | None:
    """The header's value: `use`, `refresh`, `bypass`; None where there is none.

    Raises:
        InvalidRequest: it says something else, or is there twice.
    """
    found = [value for name, value in headers if name == HEADER]
    if not found:
        return None
    wish = found[0].strip().lower()
    if len(found) > 1 or wish not in WISHES:
        raise InvalidRequest(
            "The header x-sluice-cache is wrong.", fix="Send it once, as 'use', 'refresh' or 'bypass'."
        )
    return wish


def read_sampling(body: bytes) -> Sampling | None:
    """Of a body that is JSON; None where a field is not of its type, which is the model server's to refuse."""
    try:
        return _samplings.decode(body)
    except msgspec.MsgspecError:
        return None


def is_deterministic(endpoint: Endpoint, sampling: Sampling) -> bool:
    """Whether equal requests have equal answers: embeddings, and the likeliest answer."""
    return endpoint.kind == "embedding" or sampling.deterministic
