from tests.gateway.admin.administered import Administered


def test_scopes_are_made_shown_and_listed(gateway: Administered) -> None:
    made = gateway.ask("admin", "POST", "/users", {"name": "bob", "parent": "team:ads"})
    assert made.status_code == 201
    assert made.json() | {"created_at": ""} == {
        "id": "user:bob",
        "kind": "user",
        "name": "bob",
        "parent": "team:ads",
        "created_at": "",
    }
    assert gateway.get("viewer", "/users/bob") == made.json() | {"below": {"teams": 0, "users": 0, "keys": 0}}
    acme = gateway.get("viewer", "/organisations/acme")
    assert acme["below"] == {"teams": 2, "users": 2, "keys": 6}  # a key of each role, the team's and the user's
    assert gateway.ids("viewer", "/users") == {"user:ada", "user:bob"}
    assert gateway.ids("viewer", "/users?under=team:ads") == {"user:bob"}
    assert gateway.ids("viewer", "/users?under=organisation:acme") == {"user:ada", "user:bob"}
    assert gateway.ids("viewer", "/teams?under=organisation:rival") == {"team:spies"}
    assert gateway.ask("admin", "POST", "/users", {"name": "bob"}).status_code == 409
    assert gateway.ask("admin", "POST", "/users", {"name": "eve", "parent": "team:nowhere"}).status_code == 404
    assert gateway.ask("admin", "GET", "/users/eve").status_code == 404


def test_a_page_follows_the_one_before(gateway: Administered) -> None:
    first = gateway.get("viewer", "/teams?limit=2")
    assert ([team["id"] for team in first["data"]], first["has_more"]) == (["team:ads", "team:search"], True)
    second = gateway.get("viewer", "/teams?limit=2&after=team:search")
    assert ([team["id"] for team in second["data"]], second["has_more"]) == (["team:spies"], False)
    assert gateway.get("viewer", "/teams?limit=3")["has_more"] is False
    assert gateway.get("viewer", "/teams?after=team:z")["data"] == []
