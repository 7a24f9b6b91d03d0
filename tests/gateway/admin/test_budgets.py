import time
from typing import Any

import msgspec
import pytest

from gateway.usage.record import UsageRecord, insert
from sluice.identity.money import NANO
from tests.gateway.admin.administered import Administered

DAY = "/scopes/team:search/budgets/tokens/day"
MONEY = "/scopes/team:search/budgets/money/month"
RECORD = UsageRecord("", "", "m", "chat", 200, None, True, 10, 4, 5, 0.0, 20.0, 4.0, 15, cost=NANO // 4)


def test_budgets_are_set_changed_shown_and_removed(gateway: Administered) -> None:
    assert gateway.ask("operator", "PUT", DAY, {"amount": 500}).json() == {
        "id": "team:search/tokens/day",
        "scope": "team:search",
        "unit": "tokens",
        "window": "day",
        "amount": 500,
        "hard": True,
    }
    assert gateway.ask("operator", "PUT", DAY, {"amount": 600, "hard": False}).json()["amount"] == 600
    for written in ("25.50", 25.5, 25.50):
        assert gateway.ask("operator", "PUT", MONEY, {"amount": written}).json()["amount"] == "25.50"
    assert gateway.ask("operator", "PUT", MONEY, {"amount": "0.000000001"}).json()["amount"] == "0.000000001"
    both = gateway.get("viewer", "/scopes/team:search/budgets")["data"]
    assert [(one["id"], one["hard"]) for one in both] == [
        ("team:search/money/month", True),
        ("team:search/tokens/day", False),
    ]
    assert gateway.get("viewer", "/budgets?limit=1") == {"object": "list", "data": both[:1], "has_more": True}
    assert gateway.get("viewer", "/budgets?after=team:search/money/month")["data"] == both[1:]
    assert gateway.ask("operator", "DELETE", DAY).status_code == 204
    assert gateway.ask("operator", "DELETE", DAY).status_code == 404


def test_what_is_spent_is_read_from_the_records_of_all_keys_below(gateway: Administered) -> None:
    now = time.time()
    rows: list[tuple[str, str, float]] = [
        ("1", gateway.keys["app"], now),
        ("2", gateway.keys["search-operator"], now),
        ("3", gateway.keys["rival-app"], now),
        ("4", gateway.keys["app"], now - 40 * 86_400),
    ]
    insert(
        gateway.engine,
        [msgspec.structs.replace(RECORD, request_id=id_, key_id=key, started_at=at) for id_, key, at in rows],
    )
    for path, amount in (
        (MONEY, "5"),
        ("/scopes/team:search/budgets/tokens/ever", 40),
        (f"/scopes/key:{gateway.keys['app']}/budgets/tokens/month", 100),
        ("/scopes/model:m/budgets/tokens/month", 1000),
    ):
        assert gateway.ask("operator", "PUT", path, {"amount": amount}).status_code == 200
    spent = {one["id"]: (one["spent"], one["left"]) for one in gateway.get("viewer", "/spent")["data"]}
    assert spent == {
        "team:search/money/month": ("0.50", "4.50"),
        "team:search/tokens/ever": (45, 0),
        f"key:{gateway.keys['app']}/tokens/month": (15, 85),
        "model:m/tokens/month": (45, 955),
    }
    [month, ever] = gateway.get("acme-viewer", "/spent?scope=team:search")["data"]
    assert month["begins"] < month["ends"]
    assert (ever["begins"], ever["ends"]) == (None, None)


@pytest.mark.parametrize(("what", "amount"), [("requests", 600), ("tokens", 10**6), ("concurrent", 4)])
def test_limits_are_set_changed_shown_and_removed(gateway: Administered, what: str, amount: int) -> None:
    path = f"/scopes/team:search/limits/{what}"
    expected: dict[str, Any] = {"id": f"team:search/{what}", "scope": "team:search", "what": what}
    assert gateway.ask("operator", "PUT", path, {"amount": 1}).json() == {**expected, "amount": 1}
    assert gateway.ask("operator", "PUT", path, {"amount": amount}).json() == {**expected, "amount": amount}
    assert gateway.get("viewer", "/limits")["data"] == [{**expected, "amount": amount}]
    assert gateway.get("viewer", "/scopes/team:search/limits")["data"] == [{**expected, "amount": amount}]
    assert gateway.ask("operator", "DELETE", path).status_code == 204
    assert gateway.ask("operator", "DELETE", path).status_code == 404
