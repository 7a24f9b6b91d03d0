"""Who may do what: every action with every role, above everything and within an organisation."""

import pytest

from gateway.admin.access import Caller
from sluice.errors import NotAllowed
from sluice.identity import Identity, create_key, revoke_key
from sluice.identity.keys import ROLES
from tests.gateway.admin.administered import Administered

BUDGET = {"amount": 5}
ACTIONS = [
    # The lowest role that may, and what: {app}, {viewer} are keys' ids. {n} differs in each try.
    ("viewer", "GET", "/organisations/acme", None),
    ("viewer", "GET", "/teams", None),
    ("viewer", "GET", "/users/ada", None),
    ("viewer", "GET", "/keys", None),
    ("viewer", "GET", "/keys/{app}", None),
    ("viewer", "GET", "/budgets", None),
    ("viewer", "GET", "/scopes/team:search/budgets", None),
    ("viewer", "GET", "/limits", None),
    ("viewer", "GET", "/scopes/key:{app}/limits", None),
    ("viewer", "GET", "/spent", None),
    ("viewer", "GET", "/policies", None),
    ("viewer", "GET", "/usage", None),
    ("viewer", "GET", "/audit?subject=team:search", None),
    ("developer", "POST", "/keys", {"name": "mine"}),
    ("developer", "POST", "/keys", {"scope": "user:ada"}),
    ("developer", "DELETE", "/keys/{spare}", None),
    ("operator", "POST", "/keys", {"owner": "somebody"}),
    ("operator", "POST", "/keys", {"policy": "lax"}),
    ("operator", "PUT", "/keys/{app}/policy", {"policy": "strict"}),
    ("operator", "PUT", "/scopes/team:search/budgets/tokens/day", BUDGET),
    ("operator", "DELETE", "/scopes/team:search/budgets/tokens/ever", None),
    ("operator", "PUT", "/scopes/key:{app}/limits/requests", BUDGET),
    ("operator", "DELETE", "/scopes/team:search/limits/tokens", None),
    ("admin", "POST", "/teams", {"name": "t{n}", "parent": "organisation:acme"}),
    ("admin", "POST", "/users", {"name": "u{n}", "parent": "team:search"}),
    ("admin", "POST", "/keys", {"role": "viewer"}),
    ("admin", "POST", "/keys", {"role": "admin"}),
    ("admin", "PUT", "/keys/{privileged}/policy", {"policy": None}),
    ("admin", "DELETE", "/keys/{privileged}", None),
]
ABOVE_EVERYTHING = [
    ("viewer", "GET", "/labels", None),
    ("viewer", "GET", "/approvals?candidate=model:m@1", None),
    ("viewer", "GET", "/audit", None),
    ("viewer", "GET", "/audit/verify", None),
    ("developer", "POST", "/labels/prompt/capital/staging", {"version": "0000000"}),
    ("operator", "POST", "/labels/prompt/capital/production", {"version": "0000000"}),
    ("operator", "POST", "/approvals", {"candidate": "model:m@1"}),
    ("admin", "POST", "/organisations", {"name": "o{n}"}),
]
THERE = {200, 201, 204, 404}
"""What a version or a candidate that there is none of is answered with too: the role was high enough."""


def outcome(gateway: Administered, who: str, method: str, path: str, body: dict[str, object] | None, n: int) -> int:
    """The status, with what the action needs made first."""
    gateway.ask("admin", "PUT", "/scopes/team:search/budgets/tokens/ever", BUDGET)
    gateway.ask("admin", "PUT", "/scopes/team:search/limits/tokens", BUDGET)
    gateway.add("spare", scope="team:search")
    gateway.add("privileged", scope="team:search", role="viewer")
    filled = body and {name: value.format(n=n) if isinstance(value, str) else value for name, value in body.items()}
    return gateway.ask(who, method, path.format(**gateway.keys), filled).status_code


def test_every_role_may_do_what_is_its_and_no_more(gateway: Administered) -> None:
    found = {}
    for n, (lowest, method, path, body) in enumerate(ACTIONS + ABOVE_EVERYTHING):
        for rank, role in enumerate(ROLES):
            for place, who in enumerate((role, f"acme-{role}")):
                allowed = rank >= ROLES.index(lowest) and not (place and n >= len(ACTIONS))
                status = outcome(gateway, who, method, path, body, 10 * n + 2 * rank + place)
                if allowed != (status in THERE) or (not allowed and status != 403):
                    found[f"{who} {method} {path} {body}"] = status
        for who, expected in (("loose", 403), ("app", 403), (None, 401), ("sk-sluice-nonsense", 401)):
            status = gateway.ask(who, method, path.format(**gateway.keys), body).status_code
            if status != expected:
                found[f"{who} {method} {path}"] = status
    assert found == {}


def test_what_stands_elsewhere_is_not_there(gateway: Administered) -> None:
    rival = gateway.keys["rival-app"]
    tries = [
        ("GET", "/organisations/rival", None),
        ("GET", "/teams/spies", None),
        ("GET", "/teams?under=organisation:rival", None),
        ("GET", "/keys?under=team:spies", None),
        ("GET", f"/keys/{rival}", None),
        ("GET", f"/keys/{gateway.keys['admin']}", None),
        ("GET", f"/keys/{gateway.keys['loose']}", None),
        ("DELETE", f"/keys/{rival}", None),
        ("PUT", f"/keys/{rival}/policy", {"policy": None}),
        ("POST", "/keys", {"scope": "team:spies"}),
        ("POST", "/keys", {"scope": "organisation:rival", "role": "admin"}),
        ("POST", "/teams", {"name": "spy", "parent": "organisation:rival"}),
        ("POST", "/users", {"name": "spy", "parent": "team:spies"}),
        ("GET", "/scopes/team:spies/budgets", None),
        ("GET", f"/scopes/key:{rival}/limits", None),
        ("PUT", "/scopes/team:spies/budgets/tokens/day", BUDGET),
        ("PUT", f"/scopes/key:{rival}/budgets/money/ever", BUDGET),
        ("PUT", "/scopes/model:m/budgets/tokens/day", BUDGET),
        ("DELETE", "/scopes/organisation:rival/budgets/tokens/day", None),
        ("PUT", "/scopes/organisation:rival/limits/requests", BUDGET),
        ("DELETE", "/scopes/team:spies/limits/requests", None),
        ("GET", "/spent?scope=team:spies", None),
        ("GET", "/usage?under=team:spies", None),
        ("GET", f"/usage?key={rival}", None),
        ("GET", "/audit?subject=team:spies", None),
        ("GET", f"/audit?subject=key:{rival}", None),
        ("GET", "/audit?subject=prompt:capital@1", None),
    ]
    gateway.ask("admin", "PUT", "/scopes/organisation:rival/budgets/tokens/day", BUDGET)
    gateway.ask("admin", "PUT", "/scopes/team:spies/limits/requests", BUDGET)
    statuses = {(m, path): gateway.ask("acme-admin", m, path, body).status_code for m, path, body in tries}
    assert {key: status for key, status in statuses.items() if status != 404} == {}
    elsewhere = gateway.ask("acme-admin", "GET", f"/keys/{rival}")
    nowhere = gateway.ask("acme-admin", "GET", "/keys/abcdefghijkl")
    assert elsewhere.json() == nowhere.json()


def test_lists_hold_what_stands_below_and_no_more(gateway: Administered) -> None:
    for scope in ("organisation:acme", "team:search", "team:spies", "model:m", f"key:{gateway.keys['app']}"):
        assert gateway.ask("operator", "PUT", f"/scopes/{scope}/budgets/tokens/day", BUDGET).status_code == 200
        assert gateway.ask("operator", "PUT", f"/scopes/{scope}/limits/requests", BUDGET).status_code == 200
    mine = {"organisation:acme", "team:search", f"key:{gateway.keys['app']}"}
    assert gateway.ids("acme-viewer", "/budgets") == {f"{scope}/tokens/day" for scope in mine}
    assert gateway.ids("acme-viewer", "/spent") == {f"{scope}/tokens/day" for scope in mine}
    assert gateway.ids("acme-viewer", "/limits") == {f"{scope}/requests" for scope in mine}
    assert len(gateway.ids("viewer", "/budgets")) == 5
    assert gateway.ids("acme-viewer", "/teams") == {"team:ads", "team:search"}
    assert gateway.ids("acme-viewer", "/organisations") == {"organisation:acme"}
    assert gateway.ids("search-operator", "/organisations") == set()
    assert gateway.ids("search-operator", "/teams") == {"team:search"}
    assert gateway.ids("search-operator", "/users") == {"user:ada"}
    assert gateway.ids("search-operator", "/keys") == {gateway.keys["search-operator"], gateway.keys["app"]}
    assert gateway.ids("search-operator", "/budgets") == {f"{s}/tokens/day" for s in mine - {"organisation:acme"}}
    assert gateway.keys["rival-app"] not in gateway.ids("acme-viewer", "/keys")
    assert gateway.keys["rival-app"] in gateway.ids("viewer", "/keys")


def test_nobody_widens_what_was_set_from_above(gateway: Administered) -> None:
    for who, scope in (("acme-admin", "organisation:acme"), ("search-operator", "team:search")):
        assert gateway.ask("admin", "PUT", f"/scopes/{scope}/budgets/tokens/day", BUDGET).status_code == 200
        assert gateway.ask("admin", "PUT", f"/scopes/{scope}/limits/requests", BUDGET).status_code == 200
        for method, path in (
            ("PUT", f"/scopes/{scope}/budgets/tokens/day"),
            ("DELETE", f"/scopes/{scope}/budgets/tokens/day"),
            ("PUT", f"/scopes/{scope}/limits/requests"),
            ("DELETE", f"/scopes/{scope}/limits/requests"),
        ):
            response = gateway.ask(who, method, path, {"amount": 10**9} if method == "PUT" else None)
            assert response.status_code == 403
            assert "by a key that stands above it" in response.json()["error"]["message"]
        own = f"/scopes/key:{gateway.keys[who]}/limits/requests"
        assert gateway.ask("admin", "PUT", own, BUDGET).status_code == 200
        assert gateway.ask(who, "PUT", own, {"amount": 10**9}).status_code == 403
        assert gateway.ask(who, "DELETE", own).status_code == 403


def test_a_key_gives_away_no_more_than_it_has(gateway: Administered) -> None:
    gateway.add("narrow", owner="dev", role="developer", scope="team:search", models=["a", "b"], policy="strict")
    made = gateway.ask("narrow", "POST", "/keys", {}).json()
    assert (made["owner"], made["scope"], made["models"], made["policy"], made["role"]) == (
        "dev",
        "team:search",
        ["a", "b"],
        "strict",
        None,
    )
    assert gateway.ask("narrow", "POST", "/keys", {"models": ["a"], "policy": "strict"}).json()["models"] == ["a"]
    assert gateway.ask("narrow", "POST", "/keys", {"models": []}).json()["models"] == []
    for refused in ({"models": ["a", "c"]}, {"policy": "lax"}, {"owner": "lead"}, {"owner": "Dev"}, {"role": "viewer"}):
        assert gateway.ask("narrow", "POST", "/keys", refused).status_code == 403
    gateway.add("narrow-operator", role="operator", models=["a"])
    assert gateway.ask("narrow-operator", "POST", "/keys", {"models": ["b"]}).status_code == 403
    assert gateway.ask("narrow-operator", "POST", "/keys", {"policy": "lax"}).json()["policy"] == "lax"


def test_a_team_holds_what_its_own_keys_make(gateway: Administered) -> None:
    assert gateway.ask("search-operator", "POST", "/keys", {}).json()["scope"] == "team:search"
    assert gateway.ask("search-operator", "POST", "/keys", {"scope": "user:ada"}).json()["scope"] == "user:ada"
    for scope in ("organisation:acme", "team:ads", "team:nowhere", "model:m", f"key:{gateway.keys['app']}"):
        assert gateway.ask("search-operator", "POST", "/keys", {"scope": scope}).status_code == 404
    assert gateway.ask("acme-admin", "POST", "/teams", {"name": "new"}).json()["parent"] == "organisation:acme"
    assert gateway.ask("acme-admin", "POST", "/organisations", {"name": "new"}).status_code == 403


def test_an_ended_key_administers_nothing_within_a_second(gateway: Administered) -> None:
    id_ = gateway.add("ending", role="admin")
    assert gateway.ask("ending", "GET", "/keys").status_code == 200
    revoke_key(gateway.engine, id_, by="test")
    gateway.wait(lambda: gateway.ask("ending", "GET", "/keys").status_code == 401, seconds=10)


def test_ones_own_key_may_be_ended(gateway: Administered) -> None:
    assert gateway.ask("acme-developer", "DELETE", f"/keys/{gateway.keys['acme-developer']}").status_code == 204
    assert gateway.ask("acme-operator", "DELETE", f"/keys/{gateway.keys['acme-admin']}").status_code == 403
    own = f"/keys/{gateway.keys['acme-operator']}"
    assert gateway.ask("acme-operator", "PUT", f"{own}/policy", {"policy": None}).status_code == 403
    assert gateway.ask("acme-operator", "DELETE", own).status_code == 204


@pytest.mark.parametrize("role", [None, "", "root", "Admin"])
def test_what_is_no_role_is_none(role: str | None) -> None:
    with pytest.raises(NotAllowed, match="has no role"):
        Caller.of(Identity("k", "ada", None, role=role))


def test_the_actor_is_the_owner_with_the_key(gateway: Administered) -> None:
    gateway.ask("operator", "PUT", "/scopes/team:search/budgets/tokens/day", BUDGET)
    [entry] = gateway.get("viewer", "/audit?subject=team:search/tokens/day")["data"]
    assert entry["actor"] == f"operator (key {gateway.keys['operator']})"
    assert gateway.get("acme-viewer", "/audit?subject=team:search/tokens/day")["data"] == [entry]


def test_a_key_under_nothing_reaches_everything(gateway: Administered) -> None:
    key, token = create_key(gateway.engine, owner="root", role="viewer")
    gateway.tokens["root"] = token
    assert gateway.get("root", f"/keys/{key.id}")["scope"] is None
    assert gateway.get("root", "/teams/spies")["parent"] == "organisation:rival"
