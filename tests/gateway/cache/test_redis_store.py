import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
import redis

from gateway.cache import redis_store
from gateway.cache.entry import Entry
from gateway.cache.redis_store import PAUSE, WRITING, RedisStore
from gateway.tokens import TokenUsage
from sluice.settings import CacheSettings, RedisSettings

KEY = b"k" * 32
ENTRY = Entry(b"application/json", False, b'{"a":1}', TokenUsage(3, 4))
SETTINGS = CacheSettings(seconds=120, entry_bytes=1000)


@pytest.fixture
async def store(redis_settings: RedisSettings) -> AsyncIterator[RedisStore]:
    opened = RedisStore(redis_settings, SETTINGS)
    yield opened
    await opened.close()


@pytest.fixture
def server(redis_settings: RedisSettings) -> redis.Redis:
    return redis.Redis.from_url(redis_settings.url)


def name(settings: RedisSettings) -> str:
    return f"{settings.prefix}:cache:{KEY.hex()}"


async def test_another_worker_finds_the_last_answer_and_it_expires(
    redis_settings: RedisSettings, server: redis.Redis
) -> None:
    one, other = RedisStore(redis_settings, SETTINGS), RedisStore(redis_settings, SETTINGS)
    one.put(KEY, Entry(b"", False, b"older", None))
    await asyncio.sleep(0)
    one.put(KEY, ENTRY)  # while the older one is being written
    await one.close()
    assert await other.get(KEY) == ENTRY
    await other.close()
    remaining = server.pttl(name(redis_settings))
    assert isinstance(remaining, int)
    assert 0 < remaining <= 120_000


@pytest.mark.parametrize("junk", [b"", b"\x00", b"x" * 100_000, b"\x96\xc4"], ids=["empty", "nul", "huge", "torn"])
async def test_a_damaged_entry_is_deleted(
    store: RedisStore, redis_settings: RedisSettings, server: redis.Redis, junk: bytes
) -> None:
    server.set(name(redis_settings), junk)
    assert await store.get(KEY) is None
    if junk:
        assert store.failures == 1
        assert not server.exists(name(redis_settings))


async def test_something_else_under_its_name_is_deleted(
    store: RedisStore, redis_settings: RedisSettings, server: redis.Redis
) -> None:
    server.rpush(name(redis_settings), "a list")
    assert await store.get(KEY) is None
    assert not server.exists(name(redis_settings))
    store.put(KEY, ENTRY)
    assert await store.get(KEY) == ENTRY


async def test_a_lost_redis_is_told_once_and_tried_again_after_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    store = RedisStore(RedisSettings(url="redis://127.0.0.1:1"), SETTINGS, clock=lambda: now)
    with caplog.at_level(logging.WARNING):
        assert await store.get(KEY) is None
        assert await store.get(KEY) is None  # not even tried
        assert store.failures == 1
        now += PAUSE
        assert await store.get(KEY) is None
        assert store.failures == 2
    assert len(caplog.records) == 1
    store.put(KEY, ENTRY)
    await store.close()


async def test_a_redis_that_comes_back_is_used_again(
    redis_settings: RedisSettings, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    refuse = True
    host, port = "127.0.0.1", 6379

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if refuse:
            writer.close()
            return
        to_reader, to_writer = await asyncio.open_connection(host, port)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                target.write(data)
            target.close()

        await asyncio.gather(copy(reader, to_writer), copy(to_reader, writer))

    proxy = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    store = RedisStore(RedisSettings(url=url, prefix=redis_settings.prefix), SETTINGS, clock=lambda: now)
    with caplog.at_level(logging.WARNING):
        assert await store.get(KEY) is None
        refuse = False
        now += PAUSE
        store.put(KEY, ENTRY)
        while store._writing:
            await asyncio.sleep(0.001)
        assert await store.get(KEY) == ENTRY
    assert [record.message for record in caplog.records][1:] == ["Answers are cached again."]
    await store.close()
    proxy.close()


async def test_a_redis_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    monkeypatch.setattr(redis_store, "PATIENCE", 0.02)
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    store = RedisStore(RedisSettings(url=url), SETTINGS)
    assert await store.get(KEY) is None
    assert asked.is_set()
    assert store.failures == 1
    await store.close()
    server.close()


async def test_what_waits_to_be_written_is_bounded() -> None:
    store = RedisStore(RedisSettings(url="redis://127.0.0.1:1"), SETTINGS)
    for number in range(3 * WRITING):
        store.put(number.to_bytes(32), ENTRY)
    assert len(store._writing) == WRITING
    await store.close()
    assert not store._writing
