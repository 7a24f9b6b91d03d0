"""The platform that all tests of this folder share, and the clients they use."""

import fcntl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import openai
import pytest

from tests.end_to_end.router_chain import Chain, Router, chain_over, running_router
from tests.end_to_end.running_platform import REPOSITORY, RunningPlatform, engine_python
from tests.guard.children import ChildGuard, unguarded_environment

CACHE = REPOSITORY / ".sluice" / "test-cache"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses the platform is marked `engine`: `-m 'not engine'` leaves out the minutes of vLLM's start."""
    for item in items:
        if isinstance(item, pytest.Function) and "platform" in item.fixturenames:
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def platform(child_guard: ChildGuard | None) -> Iterator[RunningPlatform]:
    """The platform with real vLLM, started once; the guard of child processes is preloaded into all of it."""
    if not engine_python().exists():
        pytest.fail(f"The engine's environment is missing: {engine_python()}. Run: make install", pytrace=False)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.fail(f"Another test session uses {CACHE}. Wait for it to end.", pytrace=False)
        running = RunningPlatform(CACHE)
        running.prepare(unguarded_environment())
        try:
            running.up()
            yield running
        finally:
            running.down()


@pytest.fixture
def base_url(platform: RunningPlatform) -> str:
    return platform.base_url


@pytest.fixture
def key(platform: RunningPlatform) -> str:
    return platform.key


@pytest.fixture
def client(base_url: str, key: str) -> Iterator[openai.OpenAI]:
    """The official client, without retries: a failure shows at once."""
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(base_url: str, key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """One router for the tests that leave its replicas alive."""
    with running_router(tmp_path_factory.mktemp("router")) as router:
        yield router


@pytest.fixture
def chain(router: Router, tmp_path: Path) -> Iterator[Chain]:
    with chain_over(router, tmp_path) as chain:
        yield chain


@pytest.fixture
def chain_to_break(tmp_path: Path) -> Iterator[Chain]:
    """With a router of its own."""
    with running_router(tmp_path) as router, chain_over(router, tmp_path) as chain:
        yield chain
