from typing import Any

from sqlmodel import Session

from prompts.registry import register
from sluice import lineage
from sluice.promotion import Candidate, GateResult, Verdict, labelled, record_gate
from tests.gateway.admin.administered import Administered

CAPITAL = """\
description: Names a capital.
model: m
messages:
  - role: user
    content: The capital of France?
"""


def judge(gateway: Administered, candidate: Candidate, author: str, verdict: Verdict = Verdict.PASS) -> None:
    gate = GateResult(
        kind=candidate.kind,
        name=candidate.name,
        version=candidate.version,
        suite="s",
        verdict=verdict,
        data_hash="d",
        author=author,
    )
    record_gate(gateway.engine, gate)


def refused(gateway: Administered, who: str, path: str, body: dict[str, Any]) -> tuple[int, str]:
    response = gateway.ask(who, "POST", path, body)
    return response.status_code, response.json()["error"]["code"]


def test_an_unguarded_label_moves_and_a_guarded_one_only_through_the_gate(gateway: Administered) -> None:
    version = register(gateway.engine, "capital", CAPITAL.encode(), author="ada").version
    body = {"version": version[:7]}
    moved = gateway.ask("developer", "POST", "/labels/prompt/capital/staging", body)
    assert moved.status_code == 200
    assert moved.json() | {"promotion_id": ""} == {
        "id": "prompt:capital:staging",
        "kind": "prompt",
        "name": "capital",
        "label": "staging",
        "version": version,
        "promotion_id": "",
    }
    assert refused(gateway, "developer", "/labels/prompt/capital/production", body) == (403, "not_allowed")
    assert refused(gateway, "operator", "/labels/prompt/capital/production", body) == (409, "gate_refused")
    judge(gateway, Candidate("prompt", "capital", version), "ada", Verdict.FAIL)
    assert refused(gateway, "operator", "/labels/prompt/capital/production", body) == (409, "gate_refused")
    judge(gateway, Candidate("prompt", "capital", version), "ada")
    assert gateway.ask("operator", "POST", "/labels/prompt/capital/production", body).status_code == 200
    found = [label["label"] for label in gateway.get("viewer", "/labels?kind=prompt&name=capital")["data"]]
    assert found == ["production", "staging"]
    assert gateway.ids("viewer", "/labels?after=prompt:capital:production") == {"prompt:capital:staging"}
    move = gateway.get("viewer", f"/audit?subject=prompt:capital@{version}")["data"][-1]
    assert (move["actor"], move["detail"]["label"]) == ("operator", "production")


def test_what_needs_another_persons_approval_does_so_here_too(gateway: Administered) -> None:
    model = Candidate("model", "churn", "3")
    path, body = "/labels/model/churn/production", {"version": "3"}
    assert refused(gateway, "operator", path, body) == (404, "not_found")
    assert refused(gateway, "operator", "/approvals", {"candidate": model.id}) == (404, "not_found")
    with Session(gateway.engine) as session:
        lineage.record(session, model.id, {})
        session.commit()
    judge(gateway, model, author="operator")
    assert refused(gateway, "operator", path, body) == (409, "gate_refused")
    assert refused(gateway, "operator", "/approvals", {"candidate": model.id}) == (403, "not_allowed")
    assert refused(gateway, "developer", "/approvals", {"candidate": model.id}) == (403, "not_allowed")
    approved = gateway.ask("admin", "POST", "/approvals", {"candidate": model.id, "note": "seen"})
    assert approved.status_code == 201
    listed = gateway.get("viewer", f"/approvals?candidate={model.id}")["data"]
    assert [(one["by"], one["note"]) for one in listed] == [("admin", "seen")]
    assert gateway.ask("operator", "POST", path, body).status_code == 200
    label = labelled(gateway.engine, "model", "churn", "production")
    assert label is not None
    assert label.version == "3"


def test_labels_concern_everybody(gateway: Administered) -> None:
    version = register(gateway.engine, "capital", CAPITAL.encode(), author="ada").version
    for method, path, body in (
        ("GET", "/labels", None),
        ("POST", "/labels/prompt/capital/staging", {"version": version}),
        ("GET", "/approvals?candidate=model:churn@3", None),
        ("POST", "/approvals", {"candidate": "model:churn@3"}),
    ):
        response = gateway.ask("acme-admin", method, path, body)
        assert response.status_code == 403
        assert "concern everybody, and this key stands under organisation:acme" in response.json()["error"]["message"]
    assert labelled(gateway.engine, "prompt", "capital", "staging") is None


def test_a_name_may_hold_slashes(gateway: Administered) -> None:
    with Session(gateway.engine) as session:
        lineage.record(session, "index:docs/en@abc", {})
        session.commit()
    moved = gateway.ask("developer", "POST", "/labels/index/docs/en/staging", {"version": "abc"})
    assert (moved.status_code, moved.json()["id"]) == (200, "index:docs/en:staging")
    assert gateway.ask("developer", "POST", "/labels/index/docs/staging", {"version": "abc"}).status_code == 404
