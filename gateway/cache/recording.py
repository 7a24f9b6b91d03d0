"""The answer of a request that missed, taken down as its client gets it, and kept if it is whole."""

import re

from gateway.cache.entry import Entry
from gateway.cache.single_flight import Flight
from gateway.cache.store import Store
from gateway.cache.wish import Sampling
from gateway.exchange import Exchange
from gateway.request import ClientGone

_CUT_SHORT = re.compile(rb'"finish_reason"\s*:\s*"length"')


class Recording:
    """Belongs to one exchange, whose `close` ends it.

    Args:
        flight: the one this request leads; None: it refreshes what is kept, and nobody waits for it.
        verdicts: what the guardrail policy found in the request.
        limit: bytes of the longest answer that is kept.
    """

    __slots__ = ("_content_type", "_flight", "_key", "_limit", "_pieces", "_sampling", "_size", "_store", "_verdicts")

    def __init__(
        self,
        key: bytes,
        store: Store,
        flight: Flight[Entry] | None,
        sampling: Sampling,
        verdicts: str | None,
        limit: int,
    ) -> None:
        self._key = key
        self._store = store
        self._flight = flight
        self._sampling = sampling
        self._verdicts = verdicts
        self._limit = limit
        self._content_type = b""
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, content_type: bytes, piece: bytes) -> None:
        """Take down what is sent. An answer that grows too long is let go of at once, and nobody waits for it longer."""
        self._content_type = content_type
        self._size += len(piece)
        if self._size <= self._limit:
            self._pieces.append(piece)
            return
        self._pieces.clear()
        self._land(None)

    def end(self, exchange: Exchange, status: int, error: str | None) -> None:
        """The exchange is over: keep its answer and share it, if it is one that others may have."""
        entry = self._entry(exchange) if status == 200 and error is None else None
        if entry is not None:
            self._store.put(self._key, entry)
        if status == ClientGone.status and self._flight is not None:
            self._flight.leave()
        else:
            self._land(entry)

    def _land(self, entry: Entry | None) -> None:
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.land(entry)

    def _entry(self, exchange: Exchange) -> Entry | None:
        copy = exchange.copy
        usage = exchange.usage or (copy and copy.usage)
        body = b"".join(self._pieces)
        if usage is None or not body:  # an upstream that does not say what its answer came to may have failed unnoticed
            return None
        if exchange.verdicts != self._verdicts:  # decisions about an answer stand in the audit log, each time anew
            return None
        if exchange.failed_attempts:  # another model may have answered, to which the route fell back
            return None
        leased = exchange.leased
        if (copy is not None and copy.cut) or (leased is not None and leased.lease.limited_by is not None):
            return None
        if leased is not None and not self._sampling.bounded and _CUT_SHORT.search(body):
            return None  # it may be the lease that limited it, without having to
        return Entry(self._content_type, copy is not None, body, usage)
