"""Answers in the memory of one gateway worker, bounded in bytes and in time; the least recently used go first."""

import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.cache.entry import Entry

OVERHEAD = 700
"""Bytes that Python takes for an entry beside its body: measured 505, key and table included."""


class MemoryStore:
    """Implements `gateway.cache.store.Store`.

    Args:
        limit: bytes of all entries together.
        seconds: how long one is good for.
        clock: seconds that never go back.

    Attributes:
        size: bytes of all entries, `OVERHEAD` for each included.
    """

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures = 0
        self.size = 0
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, Entry]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: bytes) -> Entry | None:
        found = self._entries.get(key)
        if found is None:
            return None
        expires, entry = found
        if self._clock() >= expires:
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        self._remove(key)
        if _size(entry) > self._limit:
            return
        self._entries[key] = (self._clock() + self._seconds, entry)
        self.size += _size(entry)
        while self.size > self._limit:
            self._remove(next(iter(self._entries)))

    async def close(self) -> None:
        self._entries.clear()
        self.size = 0

    def _remove(self, key: bytes) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self.size -= _size(found[1])


def _size(entry: Entry) -> int:
    return OVERHEAD + len(entry.body) + len(entry.content_type)
