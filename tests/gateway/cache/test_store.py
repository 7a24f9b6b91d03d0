"""What both stores do alike."""

import hashlib

import pytest

from gateway.cache.entry import Entry
from gateway.cache.memory_store import MemoryStore
from gateway.cache.redis_store import RedisStore
from gateway.cache.store import Store, open_store
from gateway.tokens import PromptDetails, TokenUsage
from sluice.settings import Settings

KEY = hashlib.sha256(b"one").digest()
OTHER = hashlib.sha256(b"other").digest()
PLAIN = Entry(b"application/json", False, b'{"a":1}', TokenUsage(3, 4, PromptDetails(2)))
STREAM = Entry(b"text/event-stream", True, b"data: {}\n\n" * 500 + b"data: [DONE]\n\n", TokenUsage(1, None))


@pytest.mark.parametrize("entry", [PLAIN, STREAM], ids=["plain", "stream"])
async def test_what_was_put_is_there_and_nothing_else(store: Store, entry: Entry) -> None:
    assert await store.get(KEY) is None
    store.put(KEY, entry)
    assert await store.get(KEY) == entry
    assert await store.get(OTHER) is None
    assert store.failures == 0


async def test_the_last_answer_counts(store: Store) -> None:
    store.put(KEY, PLAIN)
    store.put(KEY, STREAM)
    assert await store.get(KEY) == STREAM


def test_the_settings_choose() -> None:
    assert isinstance(open_store(Settings()), MemoryStore)
    chosen = {"cache": {"enabled": True, "store": "redis"}, "redis": {"url": "redis://127.0.0.1:1"}}
    assert isinstance(open_store(Settings.model_validate(chosen)), RedisStore)
