"""Where labels point, asked seldom, shared by all who ask, and what happens when the database is lost."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from gateway import prompt_cache
from gateway.prompt_cache import PromptCache
from prompts.prompt import Prompt
from prompts.registry import register
from sluice.database import connect
from sluice.errors import NotFound, StateUnavailable
from sluice.promotion import Candidate, promote
from sluice.settings import PromotionSettings
from tests.doubles.tcp_proxy import TcpProxy, proxied

STALE_SECONDS = 60


def version(engine: Engine, text: str = "hello", name: str = "one") -> Prompt:
    content = f"description: d\nmessages:\n  - role: user\n    content: {text}\n"
    return register(engine, name, content.encode(), author="ada")


def label(engine: Engine, prompt: Prompt) -> None:
    candidate = Candidate("prompt", prompt.name, prompt.version)
    promote(engine, candidate, "production", by="ada", settings=PromotionSettings(guarded=()))


class Clock:
    """Seconds that pass when the test says so."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """With it, no request gives up waiting for a database that is merely slow, unless the test wants it to."""
    monkeypatch.setattr(prompt_cache, "WAIT_SECONDS", 60)
    return Clock()


@asynccontextmanager
async def caching(engine: Engine, clock: Clock) -> AsyncIterator[PromptCache]:
    cache = PromptCache(engine, STALE_SECONDS, clock)
    try:
        yield cache
    finally:
        cache.close()


@contextmanager
def holding(engine: Engine) -> Iterator[threading.Event]:
    """The database answers nothing until this ends; the event is set when it was asked."""
    asked, go_on = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        asked.set()
        assert go_on.wait(60)

    event.listen(engine, "before_cursor_execute", hold)
    try:
        yield asked
    finally:
        go_on.set()


@contextmanager
def counted(engine: Engine) -> Iterator[Callable[[], int]]:
    """How many look-ups of labels the database has got."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM label" in statement:
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield lambda: len(seen)
    event.remove(engine, "before_cursor_execute", note)


async def test_many_at_once_ask_the_database_once(engine: Engine, clock: Clock) -> None:
    prompt = version(engine)
    label(engine, prompt)
    async with caching(engine, clock) as cache:
        with counted(engine) as lookups:
            found = await asyncio.gather(*(cache.find("one", "production") for _ in range(200)))
            assert {one.version for one in found} == {prompt.version}
            assert lookups() == 1
            await asyncio.gather(*(cache.find("one", "production") for _ in range(200)))
            assert lookups() == 1


async def test_a_label_is_asked_for_once_a_second_and_then_followed(engine: Engine, clock: Clock) -> None:
    old, new = version(engine, "old"), version(engine, "new")
    label(engine, old)
    async with caching(engine, clock) as cache:
        with counted(engine) as lookups:
            assert (await cache.find("one", "production")).version == old.version
            label(engine, new)
            own = lookups()
            clock.now += prompt_cache.FRESH_SECONDS - 0.01
            assert (await cache.find("one", "production")).version == old.version
            assert lookups() == own
            clock.now += 0.01
            assert (await cache.find("one", "production")).version == new.version
            assert lookups() == own + 1
    assert prompt_cache.FRESH_SECONDS == 1


async def test_an_idle_label_is_not_answered_from_the_past(engine: Engine, clock: Clock) -> None:
    old, new = version(engine, "old"), version(engine, "new")
    label(engine, old)
    async with caching(engine, clock) as cache:
        await cache.find("one", "production")
        label(engine, new)
        clock.now += prompt_cache.FRESH_SECONDS
        found = await asyncio.gather(*(cache.find("one", "production") for _ in range(50)))
        assert {one.version for one in found} == {new.version}


async def test_what_is_not_there_is_asked_for_once_a_second_too(engine: Engine, clock: Clock) -> None:
    version(engine)
    async with caching(engine, clock) as cache:
        with counted(engine) as lookups:
            for _ in range(100):
                with pytest.raises(NotFound, match="no version or label 'production'") as raised:
                    await cache.find("one", "production")
            assert lookups() == 1
        assert (raised.value.param, raised.value.status) == ("prompt.version", 404)
        [entry] = cache._entries.values()
        assert isinstance(entry.found, NotFound)
        assert entry.found.__traceback__ is None  # it would keep the frames of a request alive


async def test_a_version_by_its_whole_hash_is_asked_for_once_ever(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    prompt = version(engine)
    async with caching(engine, clock) as cache:
        first = await cache.find("one", prompt.version)
        clock.now += 3_600
        engine.dispose()
        monkeypatch.setattr(cache, "_engine", None)
        assert await cache.find("one", prompt.version) is first


async def test_a_version_that_a_label_stays_on_is_parsed_once(engine: Engine, clock: Clock) -> None:
    label(engine, version(engine))
    async with caching(engine, clock) as cache:
        first = await cache.find("one", "production")
        clock.now += prompt_cache.FRESH_SECONDS
        assert await cache.find("one", "production") is first


async def test_memory_is_bounded(engine: Engine, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(prompt_cache, "ENTRIES", 10)
    prompt = version(engine)
    async with caching(engine, clock) as cache:
        kept = await cache.find("one", prompt.version)
        for number in range(50):
            with pytest.raises(NotFound):
                await cache.find(f"unknown-{number}", "production")
            assert await cache.find("one", prompt.version) is kept  # what is used stays
        assert len(cache._entries) == 10
        assert not cache._lookups


async def test_who_leaves_takes_nothing_from_the_others(engine: Engine, clock: Clock) -> None:
    prompt = version(engine)
    label(engine, prompt)
    async with caching(engine, clock) as cache:
        first = asyncio.create_task(cache.find("one", "production"))
        second = asyncio.create_task(cache.find("one", "production"))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).version == prompt.version
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_the_loop_goes_on_while_the_database_is_slow(engine: Engine, clock: Clock) -> None:
    label(engine, version(engine))
    async with caching(engine, clock) as cache:
        with holding(engine) as asked:
            looking = asyncio.create_task(cache.find("one", "production"))
            assert await asyncio.to_thread(asked.wait, 60)
            assert not looking.done()
        assert await looking


@contextmanager
def losable(engine: Engine) -> Iterator[tuple[Engine, Callable[[], None], Callable[[], None]]]:
    """The same database, how to lose it, and how to bring it back."""
    url = engine.url.render_as_string(hide_password=False)
    if engine.dialect.name == "postgresql":
        proxy: TcpProxy
        with proxied(url) as (proxy, through):
            other = connect(through)
            yield other, proxy.cut, proxy.mend
            other.dispose()
    else:
        other = connect(url)
        path = Path(str(other.url.database))
        aside = path.with_suffix(".aside")

        def lose() -> None:
            other.dispose()
            path.rename(aside)
            path.mkdir()

        def mend() -> None:
            path.rmdir()
            aside.rename(path)

        yield other, lose, mend
        other.dispose()


async def test_with_the_database_lost_labels_go_on_until_they_are_stale(engine: Engine, clock: Clock) -> None:
    prompt = version(engine)
    label(engine, prompt)
    with losable(engine) as (other, lose, mend):
        async with caching(other, clock) as cache:

            async def tried() -> None:
                """The look-ups that nobody waited for have ended."""
                async with asyncio.timeout(60):
                    while cache._lookups:
                        await asyncio.sleep(0.01)

            assert (await cache.find("one", "production")).version == prompt.version
            await cache.find("one", prompt.version)
            lose()
            for _ in range(STALE_SECONDS - 1):
                clock.now += 1
                assert (await cache.find("one", "production")).version == prompt.version
                await tried()
            with pytest.raises(StateUnavailable, match="'two' cannot be looked up: the database is lost"):
                await cache.find("two", "production")
            clock.now += 1
            with pytest.raises(StateUnavailable):
                await cache.find("one", "production")
            assert (await cache.find("one", prompt.version)).version == prompt.version  # never stale
            await tried()
            mend()
            clock.now += 1
            assert (await cache.find("one", "production")).version == prompt.version


async def test_a_lost_database_is_tried_once_a_second_and_nobody_waits_for_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    prompt = version(engine)
    label(engine, prompt)
    async with caching(engine, clock) as cache:
        await cache.find("one", "production")
        with holding(engine) as asked, counted(engine) as lookups:
            clock.now += prompt_cache.FRESH_SECONDS
            monkeypatch.setattr(prompt_cache, "WAIT_SECONDS", 0.1)
            assert (await cache.find("one", "production")).version == prompt.version
            assert asked.is_set(), "the first finds out"
            monkeypatch.setattr(prompt_cache, "WAIT_SECONDS", 3_600)
            async with asyncio.timeout(60):
                for _ in range(20):
                    assert (await cache.find("one", "production")).version == prompt.version
                    clock.now += 1
            assert lookups() <= 1
            monkeypatch.setattr(prompt_cache, "WAIT_SECONDS", 0.1)
            with pytest.raises(StateUnavailable):
                await cache.find("two", "production")
