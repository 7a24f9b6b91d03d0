import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis

from gateway.cache import redis_store
from gateway.cache.memory_store import MemoryStore
from gateway.cache.redis_store import RedisStore
from gateway.cache.store import Store
from sluice.settings import CacheSettings, RedisSettings

REDIS = "redis://127.0.0.1:6379/0"


@pytest.fixture
def redis_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisSettings]:
    """A Redis that answers, and a prefix of the test's own, with nothing left under it afterwards; the gateway has
    patience with it, so that no test fails for being slow."""
    monkeypatch.setattr(redis_store, "PATIENCE", 30.0)
    settings = RedisSettings(url=REDIS, prefix=f"sluice-test-{secrets.token_hex(6)}")
    with redis.Redis.from_url(REDIS, socket_connect_timeout=2) as server:
        try:
            server.ping()
        except redis.RedisError as error:
            pytest.skip(f"Redis does not answer on loopback: {error}")
        yield settings
        for name in server.scan_iter(f"{settings.prefix}*"):
            server.delete(name)


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Each of the two, with entries that are good for an hour."""
    opened: Store
    if request.param == "memory":
        opened = MemoryStore(limit=2**20, seconds=3600)
    else:
        opened = RedisStore(request.getfixturevalue("redis_settings"), CacheSettings(entry_bytes=2**18))
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "redis"])
def sections(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of a gateway with either store."""
    if request.param == "memory":
        return {"cache": {"enabled": True}}
    shared: RedisSettings = request.getfixturevalue("redis_settings")
    return {"cache": {"enabled": True, "store": "redis"}, "redis": shared.model_dump()}
