"""Where answers are kept: in the process, or in Redis for all workers; two stores, one test suite."""

from typing import Protocol

from gateway.cache.entry import Entry
from sluice.settings import Settings


class Store(Protocol):
    """Answers by key. Belongs to one event loop. A store that is lost keeps nothing and fails nothing.

    Attributes:
        failures: calls that a lost or slow store did not answer, and entries that were damaged.
    """

    failures: int

    async def get(self, key: bytes) -> Entry | None:
        """The answer, if it is there, whole, and not too old."""
        ...

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an answer; returns at once, and from now on `get` knows it."""
        ...

    async def close(self) -> None:
        """Finish what is being written, and let go."""
        ...


def open_store(settings: Settings) -> Store:
    """The store that the settings name; nothing connects before the first request."""
    cache = settings.cache
    if cache.store == "memory":
        from gateway.cache.memory_store import MemoryStore

        return MemoryStore(cache.megabytes * 2**20, cache.seconds)
    from gateway.cache.redis_store import RedisStore

    return RedisStore(settings.redis, cache)
