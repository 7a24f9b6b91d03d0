import logging
import re

import pytest

from sluice.identity.keys import KEY_PATTERN
from tests.gateway.admin.administered import Administered


def test_a_key_is_shown_once_and_works_until_it_is_revoked(
    gateway: Administered, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wanted = {
        "owner": "bob",
        "name": "ci",
        "scope": "user:ada",
        "models": ["m"],
        "policy": None,
        "expires_at": "2099-01-31T00:00:00+02:00",
    }
    made = gateway.ask("operator", "POST", "/keys", wanted)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    key = made.json()
    text = key.pop("key")
    assert re.fullmatch(KEY_PATTERN, text)
    assert text[10:22] == key["id"]
    assert key | {"created_at": "", "id": ""} == {
        **wanted,
        "id": "",
        "role": None,
        "created_at": "",
        "expires_at": "2099-01-30T22:00:00Z",
        "revoked_at": None,
        "state": "active",
    }
    assert gateway.get("viewer", f"/keys/{key['id']}") == key
    call = {"model": "m", "messages": []}
    assert gateway.post(call, headers={"authorization": f"Bearer {text}"}).status_code == 200

    gateway.ask("admin", "DELETE", f"/keys/{key['id']}")
    again = gateway.ask("admin", "DELETE", f"/keys/{key['id']}")
    assert (again.status_code, again.content) == (204, b"")
    ended = gateway.get("viewer", f"/keys/{key['id']}")
    assert (ended["state"], ended["revoked_at"] is None) == ("revoked", False)
    gateway.wait(lambda: gateway.post(call, headers={"authorization": f"Bearer {text}"}).status_code == 401, seconds=10)

    secret = text[-40:]
    log = gateway.get("viewer", f"/audit?subject=key:{key['id']}")
    assert [entry["action"] for entry in log["data"]] == ["key.created", "key.revoked"]
    everything = f"{log} {gateway.get('viewer', '/keys?limit=1000')} {caplog.text}"
    assert secret not in everything
    assert "secret_hash" not in everything


def test_keys_are_listed_by_what_they_stand_under_and_by_policy(gateway: Administered) -> None:
    below = {gateway.keys["search-operator"], gateway.keys["app"]}
    assert gateway.ids("viewer", "/keys?under=team:search") == below
    assert gateway.ids("viewer", "/keys?under=user:ada") == {gateway.keys["app"]}
    everything: list[str] = []
    more = True
    while more:
        page = gateway.get("viewer", f"/keys?limit=5&after={everything[-1] if everything else ''}")
        everything += [key["id"] for key in page["data"]]
        more = page["has_more"]
    assert set(everything) >= set(gateway.keys.values())
    assert len(everything) == len(set(everything)) == len(gateway.keys) + 1  # and the double's own


def test_a_key_is_put_under_a_policy_and_back(gateway: Administered) -> None:
    app = f"/keys/{gateway.keys['app']}"
    assert gateway.ask("acme-operator", "PUT", f"{app}/policy", {"policy": "strict"}).json()["policy"] == "strict"
    assert gateway.ids("viewer", "/keys?policy=strict") == {gateway.keys["app"]}
    counts = {policy["name"]: policy["keys"] for policy in gateway.get("acme-viewer", "/policies")["data"]}
    assert counts == {"strict": 1, "lax": 0}
    assert gateway.ask("acme-operator", "PUT", f"{app}/policy", {"policy": None}).json()["policy"] is None
    refused = gateway.ask("acme-operator", "PUT", f"{app}/policy", {"policy": "none"}).json()["error"]
    assert (refused["param"], "There are: strict, lax." in refused["message"]) == ("policy", True)
    log = gateway.get("viewer", f"/audit?subject=key:{gateway.keys['app']}")["data"]
    assert [entry["detail"] for entry in log[1:]] == [
        {"policy": "strict", "before": None},
        {"policy": None, "before": "strict"},
    ]
