from tests.gateway.admin.administered import Administered
from tests.sluice.test_audit import tamper


def test_entries_come_in_pages(gateway: Administered) -> None:
    first = gateway.get("viewer", "/audit?limit=2")
    assert ([entry["number"] for entry in first["data"]], first["has_more"]) == ([1, 2], True)
    second = gateway.get("viewer", "/audit?limit=2&after=2")
    assert [entry["number"] for entry in second["data"]] == [3, 4]
    assert second["data"][0]["previous"] == first["data"][1]["hash"]


def test_the_chain_is_verified_also_against_a_head_kept_elsewhere(gateway: Administered) -> None:
    before = gateway.get("viewer", "/audit/verify")
    assert (before["whole"], before["broken"]) == (True, None)
    assert before["head"].startswith(f"{before['entries']}:")
    gateway.ask("admin", "POST", "/teams", {"name": "new"})
    after = gateway.get("viewer", f"/audit/verify?head={before['head']}")
    assert (after["whole"], after["entries"]) == (True, before["entries"] + 1)
    forged = f"{before['entries']}:{'0' * 64}"
    assert gateway.get("viewer", f"/audit/verify?head={forged}")["broken"] == before["entries"]
    assert gateway.ask("viewer", "GET", "/audit/verify?head=7").status_code == 400
    tamper(gateway.engine, "UPDATE audit_entry SET actor = 'eve' WHERE number = 3")
    assert gateway.get("viewer", "/audit/verify") == after | {"whole": False, "broken": 3}


def test_who_stands_under_something_asks_about_one_thing_at_a_time(gateway: Administered) -> None:
    [entry] = gateway.get("acme-viewer", "/audit?subject=team:search")["data"]
    assert (entry["actor"], entry["action"]) == ("setup", "team.created")
    refused = gateway.ask("acme-admin", "GET", "/audit").json()["error"]
    assert (refused["code"], "Name a subject below it" in refused["message"]) == ("not_allowed", True)
    assert gateway.ask("acme-admin", "GET", "/audit/verify").status_code == 403
