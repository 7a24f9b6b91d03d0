"""`/v1/key`, through a running gateway before an engine that counts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.identity import create_key, create_scope, revoke_key, set_budget, set_limit
from sluice.identity.money import NANO
from tests.doubles.counting_engine import CountingEngine
from tests.gateway.running_gateway import RunningGateway

HELLO = {"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": "Hello"}]}
USED = CountingEngine.TEMPLATE + 1 + 20


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with CountingEngine() as engine:
        priced = {"m": {"url": engine.url, "price": {"input": 1, "output": 1}}}
        with RunningGateway(tmp_path, engine.url, routes=priced) as running:
            yield running


def own(gateway: RunningGateway, token: str) -> dict[str, Any]:
    response = gateway._http.get(f"{gateway.origin}/v1/key", headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    return response.json()


def test_a_key_without_a_role_learns_what_it_has_left(gateway: RunningGateway) -> None:
    create_scope(gateway.engine, "team", "search", by="tester")
    set_budget(gateway.engine, "team:search", 5 * NANO, "ever", "money", by="tester")
    set_limit(gateway.engine, "team:search", "requests", 600, by="tester")
    key, token = create_key(gateway.engine, owner="ada", scope="team:search", models=["m"], budgets={"day": 1_000})
    assert gateway.post(HELLO, headers={"authorization": f"Bearer {token}"}).status_code == 200
    told = own(gateway, token)
    team, day = told.pop("budgets")
    assert told == {
        "id": key.id,
        "owner": "ada",
        "scopes": ["team:search", f"key:{key.id}"],
        "models": ["m"],
        "policy": None,
        "role": None,
        "limits": [{"id": "team:search/requests", "scope": "team:search", "what": "requests", "amount": 600}],
    }
    assert (day["spent"], day["held"], day["left"], day["ends"][10:]) == (USED, 0, 1_000 - USED, "T00:00:00Z")
    assert (team["spent"], team["left"]) == ("0.00003", "4.99997")
    assert team["ends"] is None


def test_what_was_spent_before_is_known_to_a_key_that_has_not_called_yet(gateway: RunningGateway) -> None:
    key, token = create_key(gateway.engine, owner="ada")
    assert gateway.post(HELLO, headers={"authorization": f"Bearer {token}"}).status_code == 200
    set_budget(gateway.engine, f"key:{key.id}", 1_000, "day", by="tester")
    gateway.wait(lambda: own(gateway, token)["budgets"])
    assert own(gateway, token)["budgets"][0]["spent"] == USED


def test_only_a_valid_key_is_answered(gateway: RunningGateway) -> None:
    key, token = create_key(gateway.engine, owner="ada")
    revoke_key(gateway.engine, key.id)
    for headers in ({}, {"authorization": f"Bearer {token}"}):
        response = gateway._http.get(f"{gateway.origin}/v1/key", headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
