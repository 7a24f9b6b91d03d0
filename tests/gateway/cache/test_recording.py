"""Which answers are kept; `test_step` has the same over HTTP."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.cache.entry import Entry
from gateway.cache.memory_store import MemoryStore
from gateway.cache.recording import Recording
from gateway.cache.single_flight import SingleFlight, Turn
from gateway.cache.wish import Sampling
from gateway.tokens import TokenUsage

KEY = b"k"
LEASED = SimpleNamespace(lease=SimpleNamespace(limited_by=None))
BODY = b'{"choices":[{"finish_reason": "length"}]}'


class Scene:
    def __init__(self, **sampling: Any) -> None:
        self.store = MemoryStore(10**6, 60)
        self.flights = SingleFlight[Entry]()
        self.flight = self.flights.begin(KEY)
        self.recording = Recording(KEY, self.store, self.flight, Sampling(**sampling), None, limit=100)

    async def end(self, status: int = 200, error: str | None = None, **exchange: Any) -> Entry | Turn:
        """What a request that waited got."""
        defaults: dict[str, Any] = {"copy": None, "usage": TokenUsage(1, 1), "verdicts": None, "failed_attempts": ()}
        follower = asyncio.create_task(self.flight.follow(60))
        await asyncio.sleep(0)
        ended: Any = SimpleNamespace(**defaults | {"leased": None} | exchange)
        self.recording.end(ended, status, error)
        return await follower


async def test_a_whole_answer_is_kept_and_shared() -> None:
    scene = Scene()
    scene.recording.add(b"application/json", BODY[:10])
    scene.recording.add(b"application/json", BODY[10:])
    shared = await scene.end()
    assert isinstance(shared, Entry)
    assert shared.body == BODY
    assert await scene.store.get(KEY) == shared


@pytest.mark.parametrize(
    "how",
    [
        {"status": 201},
        {"error": "upstream_error"},
        {"usage": None},
        {"verdicts": "[]"},
        {"leased": SimpleNamespace(lease=SimpleNamespace(limited_by="a budget")), "usage": TokenUsage(1, 1)},
        {"leased": LEASED},
        {"failed_attempts": ("one",)},
        {"copy": SimpleNamespace(cut=True, usage=None)},
    ],
    ids=str,
)
async def test_others_are_not(how: dict[str, Any]) -> None:
    scene = Scene()
    scene.recording.add(b"application/json", BODY)
    assert await scene.end(**how) is Turn.ALONE
    assert await scene.store.get(KEY) is None


async def test_an_answer_that_the_client_itself_limited_is_kept_under_a_lease() -> None:
    scene = Scene(max_tokens=1)
    scene.recording.add(b"application/json", BODY)
    assert isinstance(await scene.end(leased=LEASED), Entry)


async def test_a_client_that_left_hands_the_lead_on() -> None:
    scene = Scene()
    assert await scene.end(499, "client_gone") is Turn.LEAD
    assert len(scene.flights) == 1


async def test_nobody_waits_for_what_is_too_long_and_nothing_of_it_is_held() -> None:
    scene = Scene()
    follower = asyncio.create_task(scene.flight.follow(60))
    await asyncio.sleep(0)
    for _ in range(1000):
        scene.recording.add(b"", b"x" * 90)
    assert await follower is Turn.ALONE
    assert sum(map(len, scene.recording._pieces)) <= 100
    assert not len(scene.flights)
