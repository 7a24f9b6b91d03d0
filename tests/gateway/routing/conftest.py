from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from gateway.routing.route import Route
from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway

MESSAGES: list[dict[str, str]] = [{"role": "user", "content": "Hello?"}]


def chat(model: str = "r", *, stream: bool = False) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, "stream": stream}


def route_of(gateway: RunningGateway, name: str) -> Route:
    return gateway.application.traffic._routes._routes[name]


@pytest.fixture
def near(scripted_upstream: ScriptedUpstream) -> ScriptedUpstream:
    """What routes ask first."""
    return scripted_upstream


@pytest.fixture
def far() -> Iterator[ScriptedUpstream]:
    """What they turn to then."""
    with ScriptedUpstream() as upstream:
        yield upstream


class Serve(Protocol):
    def __call__(self, **routes: dict[str, Any]) -> RunningGateway: ...


@pytest.fixture
def serve(tmp_path: Path, near: ScriptedUpstream) -> Iterator[Serve]:
    """`serve(name={...})`: a gateway with these routes."""
    running: list[RunningGateway] = []

    def start(**routes: dict[str, Any]) -> RunningGateway:
        running.append(RunningGateway(tmp_path, near.url, routes=routes).__enter__())
        return running[-1]

    yield start
    for gateway in running:
        gateway.__exit__()
