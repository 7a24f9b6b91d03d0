"""A key with a budget, before a running gateway."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sluice.identity import create_key
from tests.doubles.counting_engine import CountingEngine
from tests.gateway.running_gateway import RunningGateway

NOON = time.time() // 86_400 * 86_400 + 43_200


class Budgeted:
    """A key with budgets; calls are chats unless said otherwise."""

    def __init__(self, gateway: RunningGateway, budgets: dict[str, int]) -> None:
        self.gateway = gateway
        # No window of a day or an hour ends while a test runs.
        metering = gateway.application.traffic._metering
        metering.ledger.clock = metering._spent._clock = lambda: NOON
        self.key, self.token = create_key(gateway.engine, owner="ada", budgets=budgets)

    def call(self, content: str = "Hello", path: str = "/v1/chat/completions", **further: Any) -> httpx.Response:
        body: dict[str, Any] = {"model": "m", **further}
        if path == "/v1/chat/completions":
            body["messages"] = [{"role": "user", "content": content}]
        return self.gateway.post(body, path, {"authorization": f"Bearer {self.token}"})


@pytest.fixture
def counting_engine() -> Iterator[CountingEngine]:
    with CountingEngine() as running:
        yield running


@pytest.fixture
def counted(tmp_path: Path, counting_engine: CountingEngine) -> Iterator[RunningGateway]:
    """A gateway before the counting engine."""
    with RunningGateway(tmp_path, counting_engine.url) as running:
        yield running


def left(response: httpx.Response) -> int:
    """What the budgets had left, as the answer told."""
    return int(response.headers["x-sluice-budget-remaining"])
