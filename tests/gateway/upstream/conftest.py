"""Both implementations, on both event loops; after each test nothing may be left over."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import urlsplit

import pytest
import uvloop

from gateway.upstream import Upstream, open_upstream
from gateway.upstream.library import LibraryUpstream
from gateway.upstream.pool import Pool
from sluice.settings import UpstreamSettings
from tests.doubles.scripted_upstream import ScriptedUpstream

API_KEY = "sk-very-secret"
Connect = Callable[..., Upstream]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """httpx runs on the gateway's loop only: it does not touch the loop itself, and its tests are slow."""
    items[:] = [item for item in items if not {"library", "asyncio"} <= set(re.split(r"[\[\]-]", item.name))]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(params=["http1", "library"])
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    return request.param


@pytest.fixture
async def connect(implementation: str, scripted_upstream: ScriptedUpstream) -> AsyncIterator[Connect]:
    """`connect(**settings)` opens the scripted upstream; the same for both implementations."""

    def open_it(url: str = scripted_upstream.url, **settings: float) -> Upstream:
        if implementation == "http1":
            upstream = open_upstream(url, UpstreamSettings(**settings), api_key=API_KEY)
            assert isinstance(upstream, Pool)
        else:
            upstream = LibraryUpstream(urlsplit(url).geturl(), UpstreamSettings(**settings), API_KEY, None)
        opened.append(upstream)
        return upstream

    opened: list[Upstream] = []
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    yield open_it
    for upstream in opened:
        await upstream.close()
    await scripted_upstream.until(lambda: scripted_upstream.open_connections == 0)
    await scripted_upstream.until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    assert complaints == []


@pytest.fixture
async def pool(scripted_upstream: ScriptedUpstream) -> AsyncIterator[Pool]:
    pool = Pool(urlsplit(scripted_upstream.url), UpstreamSettings(), API_KEY)
    yield pool
    await pool.close()
