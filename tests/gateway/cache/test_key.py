from types import SimpleNamespace
from typing import Any

import pytest

from gateway.cache.key import cache_key
from gateway.endpoints import ENDPOINTS
from sluice.identity import Identity

BASE: dict[str, Any] = {
    "identity": Identity("key1", "ada", None, scopes=("organisation:acme", "key:key1")),
    "endpoint": ENDPOINTS["/v1/chat/completions"],
    "route": "m",
    "prompt": "capital@1",
    "policy": "strict@1",
    "verdicts": None,
}


def key(model: str = "sha256:1", body: bytes = b"{}", **changes: Any) -> bytes:
    exchange: Any = SimpleNamespace(**BASE | changes)
    return cache_key(exchange, model, body)


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": Identity("key2", "ada", None, scopes=("organisation:other", "key:key2"))},
        {"endpoint": ENDPOINTS["/v1/completions"]},
        {"route": "n"},
        {"model": "sha256:2"},
        {"prompt": "capital@2"},
        {"prompt": None},
        {"policy": "strict@2"},
        {"policy": None},
        {"verdicts": '[{"side":"input"}]'},
        {"body": b"{} "},
    ],
    ids=str,
)
def test_each_part_tells_requests_apart(changes: dict[str, Any]) -> None:
    assert key(**changes) != key()
    assert key(**changes) == key(**changes)


def test_no_part_runs_into_the_next() -> None:
    assert key(route="ab", model="c") != key(route="a", model="bc")
    assert key(policy="p", verdicts="") != key(policy="", verdicts="p")
    assert key(verdicts="", body=b"0:x") != key(verdicts="x", body=b"0:")


def test_owners_and_budgets_do_not_count() -> None:
    assert key(identity=Identity("key3", "bob", frozenset({"m"}), scopes=("organisation:acme", "key:key3"))) == key()
