"""Answers in Redis, for all workers of a deployment. Redis is asked, never relied on: without it every request misses."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.cache.entry import Entry, pack, unpack
from sluice.settings import CacheSettings, RedisSettings

log = logging.getLogger(__name__)

PATIENCE = 0.05
"""Seconds that a call may take; a model rarely answers in less."""
PAUSE = 1.0
"""Seconds between two tries of a Redis that is lost."""
CONNECTIONS = 16
WRITING = 64
"""Answers on their way to Redis at one time; further ones are not kept."""
ENVELOPE = 4096
"""Bytes that an entry may have beside its body."""


class RedisStore:
    """Implements `gateway.cache.store.Store`.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, redis: RedisSettings, cache: CacheSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures = 0
        self._prefix = f"{redis.prefix}:cache:"
        self._limit = cache.entry_bytes
        self._milliseconds = max(1, int(cache.seconds * 1000))
        self._clock = clock
        self._retry_at: float | None = None
        """When a Redis that is lost is tried again."""
        self._writing: dict[bytes, Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        pool = BlockingConnectionPool.from_url(
            redis.url,
            max_connections=CONNECTIONS,
            timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            socket_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Any = Redis.from_pool(pool)

    async def get(self, key: bytes) -> Entry | None:
        if writing := self._writing.get(key):
            return writing
        # Not more than could be an entry: who can write to Redis must not be able to fill the gateway's memory.
        data: bytes | RedisError | None = await self._call(
            "GETRANGE", self._prefix + key.hex(), 0, self._limit + ENVELOPE
        )
        if not data:
            return None
        entry = unpack(key, data, self._limit) if isinstance(data, bytes) else None
        if entry is None:
            self.failures += 1
            log.warning("An entry of the response cache was damaged and is deleted.")
            await self._call("DEL", self._prefix + key.hex())
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        if key in self._writing:
            self._writing[key] = entry
        elif len(self._writing) < WRITING:
            self._writing[key] = entry
            task = asyncio.get_running_loop().create_task(self._write(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        await asyncio.gather(*self._tasks)
        await self._redis.aclose(close_connection_pool=True)

    async def _write(self, key: bytes) -> None:
        written: Entry | None = None
        try:
            while (entry := self._writing[key]) is not written:  # else a newer one has come meanwhile
                await self._call("SET", self._prefix + key.hex(), pack(key, entry), "PX", self._milliseconds)
                written = entry
        finally:
            del self._writing[key]

    async def _call(self, *command: Any) -> Any:
        """What Redis answers, an error where the name holds no text; None where it is lost."""
        if self._retry_at is not None and self._clock() < self._retry_at:
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._redis.execute_command(*command)
        except (RedisError, OSError, TimeoutError) as error:
            if str(error).startswith("WRONGTYPE"):
                return error
            if self._retry_at is None:
                log.warning("Answers are not cached, Redis is lost: %s", str(error) or f"no answer in {PATIENCE:g} s")
            self._retry_at = self._clock() + PAUSE
            self.failures += 1
            return None
        if self._retry_at is not None:
            log.warning("Answers are cached again.")
            self._retry_at = None
        return answer
