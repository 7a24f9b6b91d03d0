"""What clients of a gateway see whose Redis is lost."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sluice.identity import create_key
from sluice.identity.limits import set_limit
from tests.doubles.counting_engine import CountingEngine
from tests.gateway.running_gateway import RunningGateway
from tests.servers.redis import RedisServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
def gateway(tmp_path: Path, counting_engine: CountingEngine, server: RedisServer) -> Iterator[RunningGateway]:
    redis = {"url": server.url, "rebuild_seconds": 0.1, "command_seconds": 0.5}
    with RunningGateway(tmp_path, counting_engine.url, sections={"redis": redis}) as running:
        yield running


def call(gateway: RunningGateway, token: str, stream: bool = False) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5, "stream": stream}
    return gateway.post(body, headers={"authorization": f"Bearer {token}"})


def metric(gateway: RunningGateway, name: str) -> float:
    lines = httpx.get(f"{gateway.origin}/metrics", trust_env=False, timeout=60).text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def test_a_lost_redis_is_told_and_what_it_knew_is_counted_when_it_is_back(
    gateway: RunningGateway, server: RedisServer
) -> None:
    _, hard = create_key(gateway.engine, owner="ada", budgets={"ever": 100})
    key, limited = create_key(gateway.engine, owner="bob")
    set_limit(gateway.engine, f"key:{key.id}", "requests", 5, by="tester")
    gateway.wait_for_meters(f"key:{key.id}/requests")
    assert call(gateway, hard).headers["x-sluice-budget-remaining"] == "85"
    assert call(gateway, limited, stream=True).headers["x-ratelimit-remaining-requests"] == "4"
    server.kill()
    gateway.wait(lambda: metric(gateway, "sluice_redis_lost") == 1)
    refused = call(gateway, hard)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["error"]["message"].startswith("Budgets cannot be checked: Redis is lost.")
    for stream in (False, True):
        uncounted = call(gateway, limited, stream)
        assert uncounted.status_code == 200
        assert uncounted.headers["x-sluice-budget"] == "uncounted"
        assert "x-ratelimit-remaining-requests" not in uncounted.headers
    server.start()
    gateway.wait(lambda: call(gateway, hard).headers.get("x-sluice-budget-remaining") == "70")
    assert metric(gateway, "sluice_redis_lost") == 0
    assert metric(gateway, "sluice_redis_unsent") == 0
