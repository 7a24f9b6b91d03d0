import time

import msgspec
import pytest

from gateway.usage.record import insert
from tests.gateway.admin.administered import Administered
from tests.gateway.admin.test_budgets import RECORD


@pytest.fixture
def used(gateway: Administered) -> Administered:
    keys = [gateway.keys[name] for name in ("app", "app", "search-operator", "rival-app", "loose")]
    rows = [
        msgspec.structs.replace(RECORD, request_id=str(n), key_id=key, started_at=time.time(), route=f"m{n % 2}")
        for n, key in enumerate(keys)
    ]
    insert(gateway.engine, rows)
    return gateway


def sums(gateway: Administered, who: str, query: str) -> dict[str, int]:
    return {row["name"]: row["requests"] for row in gateway.get(who, f"/usage?{query}")["data"]}


def test_usage_is_summed_by_what_keys_stand_under(used: Administered) -> None:
    assert sums(used, "viewer", "") == {"user:ada": 2, "team:search": 1, "team:spies": 1, "": 1}
    assert sums(used, "viewer", "under=team:search") == {"user:ada": 2, "team:search": 1}
    assert sums(used, "viewer", "by=model&under=team:search") == {"m0": 2, "m1": 1}
    assert sums(used, "viewer", f"by=day&key={used.keys['loose']}").popitem()[1] == 1
    [ada, _] = used.get("viewer", "/usage?under=team:search")["data"]
    assert (ada["charged_tokens"], ada["cost"]) == (30, "0.50")


def test_usage_of_others_is_not_there(used: Administered) -> None:
    assert sums(used, "acme-viewer", "") == {"user:ada": 2, "team:search": 1}
    assert set(sums(used, "search-operator", "by=key")) == {used.keys["app"], used.keys["search-operator"]}
    assert sum(sums(used, "acme-viewer", "by=day").values()) == 3
    for query in ("since=soon", "by=owner", "since=99999999999d"):
        assert used.ask("viewer", "GET", f"/usage?{query}").status_code == 400
