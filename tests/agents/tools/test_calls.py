"""Calls happen once, are remembered, and wait for another person where they must."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from agents.tools import Tool, ToolCall, ToolContext, call_tool, decide, registry, waiting_calls
from agents.tools import calls as calls_module
from agents.tools.calls import CUT_OFF
from agents.tools.claims import is_abandoned, own_claim
from agents.tools.start_training import TrainingArguments
from sluice import audit
from sluice.errors import Conflict, InvalidRequest, NotAllowed, NotFound, SluiceError
from sluice.lineage import trace
from tests.agents.conftest import ALERT, ContextOf
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream

PREDICTION = {"id": "p1", "model": "churn", "version": "3", "entity": "7590-VHVEG", "score": 0.63}
RESULT = {"customer": "7590-VHVEG", "probability": 0.63, "model": "model:churn@3", "sources": ["prediction:p1"]}
FOR_ALERT = {"alert": ALERT}


@pytest.fixture
def database(engine: Engine) -> Engine:
    """Claims and decisions race in the database: SQLite and PostgreSQL."""
    return engine


def kept(context: ToolContext, call_id: str) -> ToolCall:
    with Session(context.engine) as session:
        return session.get_one(ToolCall, call_id)


def attempts(training: Path) -> int:
    path = training / "attempts"
    return len(path.read_text()) if path.exists() else 0


def test_a_repeated_id_gets_the_kept_result(context_of: ContextOf, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(path="/v1/predict/churn", body=PREDICTION))
    first = call_tool(context_of(), "predict_churn", {"customer": "7590-VHVEG"}, "once")
    again = call_tool(context_of(), "predict_churn", {"customer": "7590-VHVEG"}, "once")
    assert first.result == again.result == RESULT
    assert len(scripted_upstream.requests) == 1
    [asked] = scripted_upstream.requests
    assert asked.header("authorization") == "Bearer sk-of-ada"
    assert asked.header("x-sluice-parent") == "req-1"


def test_a_call_stands_in_the_lineage(context_of: ContextOf, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(path="/v1/predict/churn", body=PREDICTION))
    call = call_tool(context_of(), "predict_churn", {"customer": "7590-VHVEG"})
    node = trace(context_of().engine, f"tool_call:{call.id}")
    assert [(role, source.id) for role, source in node.sources] == [
        ("request", "request:req-1"),
        ("used", "prediction:p1"),
    ]


def test_an_id_belongs_to_one_caller_tool_and_arguments(
    context_of: ContextOf, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(path="/v1/predict/churn", body=PREDICTION))
    call_tool(context_of(), "predict_churn", {"customer": "7590-VHVEG"}, "taken")
    for owner, name, customer in [
        ("eve", "predict_churn", "7590-VHVEG"),
        ("ada", "customer_features", "7590-VHVEG"),
        ("ada", "predict_churn", "5575-GNVDE"),
    ]:
        with pytest.raises(Conflict, match="'taken' belongs to another call"):
            call_tool(context_of(owner), name, {"customer": customer}, "taken")


def test_an_unknown_tool_is_answered_with_the_known_ones(context_of: ContextOf) -> None:
    with pytest.raises(NotFound, match=r"There is no tool 'sendmail'. There are: search_documents, query_sql, "):
        call_tool(context_of(), "sendmail", {})


def test_a_refused_argument_leaves_no_call(context_of: ContextOf) -> None:
    with pytest.raises(InvalidRequest):
        call_tool(context_of(), "predict_churn", {"customer": None}, "bad")
    with Session(context_of().engine) as session:
        assert session.get(ToolCall, "bad") is None


def test_a_failed_read_can_be_tried_again_under_its_id(
    context_of: ContextOf, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(
        Behaviour(path="/v1/predict/churn", status=503, body={"error": {"message": "Loading.", "code": "overloaded"}}),
        Behaviour(path="/v1/predict/churn", body=PREDICTION),
    )
    with pytest.raises(SluiceError, match="Loading"):
        call_tool(context_of(), "predict_churn", {"customer": "7590-VHVEG"}, "again")
    assert kept(context_of(), "again").result == {"error": "Loading.", "status": 503}
    assert call_tool(context_of(), "predict_churn", {"customer": "7590-VHVEG"}, "again").state == "done"


@pytest.mark.parametrize("call_id", ["", "a b", "a/b", "x" * 101, "\ud800", "a\n"])
def test_an_impossible_id_leaves_no_call(context_of: ContextOf, call_id: str) -> None:
    with pytest.raises(InvalidRequest, match="A call's id has 1 to 100 letters"):
        call_tool(context_of(), "drift_report", {}, call_id)
    with Session(context_of().engine) as session:
        assert session.exec(select(ToolCall)).all() == []


def test_a_tool_that_panics_leaves_no_running_call(context_of: ContextOf, monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(_: Any) -> dict[str, Any]:
        raise pl.exceptions.PanicException  # what Rust libraries raise is no Exception

    def panicking(context: ToolContext) -> dict[str, Tool]:
        return {"drift_report": replace(registry(context)["drift_report"], run=panic)}

    with monkeypatch.context() as patched:
        patched.setattr(calls_module, "registry", panicking)
        with pytest.raises(pl.exceptions.PanicException):
            call_tool(context_of(), "drift_report", {}, "panics")
    assert kept(context_of(), "panics").state == "failed"
    assert call_tool(context_of(), "drift_report", {}, "panics").state == "done"


def test_training_waits_until_another_person_says_yes(context_of: ContextOf, training: Path) -> None:
    ada, bob = context_of("ada"), context_of("bob", "req-2")
    call = call_tool(ada, "start_training", FOR_ALERT, "train")
    assert (call.state, call.as_json()["result"], attempts(training)) == ("waiting", None, 0)
    assert [waiting.id for waiting in waiting_calls(ada.engine)] == ["train"]
    with pytest.raises(NotAllowed, match="ada asked for train, so another person must decide"):
        decide(ada, "train", approved=True)
    assert attempts(training) == 0

    done = decide(bob, "train", approved=True)
    assert (done.state, done.decided_by, done.result) == (
        "done",
        "bob",
        {"alert": ALERT, "version": "2", "verdict": "pass", "sources": [f"alert:{ALERT}", "gate:gate-1"]},
    )
    assert decide(bob, "train", approved=True).result == done.result
    assert call_tool(ada, "start_training", FOR_ALERT, "train").result == done.result
    assert attempts(training) == 1
    assert not waiting_calls(ada.engine)
    entries = audit.entries(ada.engine, "tool_call:train")
    assert [(entry.actor, entry.action) for entry in entries] == [
        ("ada", "tool.requested"),
        ("bob", "tool.approved"),
        ("ada", "tool.done"),
    ]


def test_a_denied_call_never_runs(context_of: ContextOf, training: Path) -> None:
    ada, bob = context_of("ada"), context_of("bob")
    call_tool(ada, "start_training", FOR_ALERT, "train")
    assert decide(bob, "train", approved=False).state == "denied"
    with pytest.raises(Conflict, match="train is denied already, by bob"):
        decide(context_of("carl"), "train", approved=True)
    assert call_tool(ada, "start_training", FOR_ALERT, "train").state == "denied"
    assert attempts(training) == 0


def test_an_approved_call_cannot_be_denied(context_of: ContextOf, training: Path) -> None:
    call_tool(context_of("ada"), "start_training", FOR_ALERT, "train")
    decide(context_of("bob"), "train", approved=True)
    with pytest.raises(Conflict, match="train is done already, by bob"):
        decide(context_of("carl"), "train", approved=False)
    assert attempts(training) == 1


@pytest.mark.parametrize("call_id", ["nothing", "a-read"])
def test_only_a_call_that_needs_approval_can_be_approved(
    context_of: ContextOf, scripted_upstream: ScriptedUpstream, call_id: str
) -> None:
    scripted_upstream.next(Behaviour(path="/v1/predict/churn", body=PREDICTION))
    call_tool(context_of(), "predict_churn", {"customer": "7590-VHVEG"}, "a-read")
    with pytest.raises(NotFound, match=f"No call '{call_id}' waits for approval"):
        decide(context_of("bob"), call_id, approved=True)


def test_a_failed_training_stays_failed(context_of: ContextOf, training: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (training / "training.py").write_text("import sys; sys.exit('no data')")
    call_tool(context_of("ada"), "start_training", FOR_ALERT, "train")
    for _ in range(2):
        with pytest.raises(SluiceError, match="Training for alert-1 failed: no data"):
            decide(context_of("bob"), "train", approved=True)
    (training / "training.py").write_text("raise AssertionError('ran again')")
    with pytest.raises(SluiceError, match="Training for alert-1 failed: no data"):
        call_tool(context_of("ada"), "start_training", FOR_ALERT, "train")


def claim_as(context: ToolContext, call_id: str, claim: dict[str, Any]) -> None:
    with Session(context.engine) as session:
        call = session.get_one(ToolCall, call_id)
        call.claim(claim)
        session.commit()


@pytest.fixture
def dead_claim() -> dict[str, Any]:
    """The claim of a process that was killed."""
    code = "import json, time; from agents.tools.claims import own_claim; print(json.dumps(own_claim()), flush=True); time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": ".:platform"},
    )
    assert process.stdout is not None
    claim: dict[str, Any] = json.loads(process.stdout.readline())
    assert not is_abandoned(claim)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return claim


def test_a_call_of_a_dead_process_is_taken_up(
    context_of: ContextOf, training: Path, dead_claim: dict[str, Any]
) -> None:
    call_tool(context_of("ada"), "start_training", FOR_ALERT, "train")
    claim_as(context_of(), "train", dead_claim)
    assert call_tool(context_of("ada"), "start_training", FOR_ALERT, "train").state == "done"
    assert attempts(training) == 1


@pytest.mark.parametrize("claim", [own_claim(), {"host": "elsewhere", "pid": 1, "started": 0.0}])
def test_a_call_that_runs_elsewhere_is_left_to_run(
    context_of: ContextOf, training: Path, claim: dict[str, Any]
) -> None:
    call_tool(context_of("ada"), "start_training", FOR_ALERT, "train")
    claim_as(context_of(), "train", claim)
    assert call_tool(context_of("ada"), "start_training", FOR_ALERT, "train").state == "running"
    assert attempts(training) == 0


def test_a_side_effect_that_cannot_be_repeated_is_not_repeated(
    context_of: ContextOf, dead_claim: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def registry_with_mail(context: ToolContext) -> dict[str, Tool]:
        def send(arguments: TrainingArguments) -> dict[str, Any]:
            sent.append(arguments.alert)
            return {}

        return registry(context) | {"mail": Tool("mail", "", TrainingArguments, send, side_effect=True)}

    monkeypatch.setattr(calls_module, "registry", registry_with_mail)
    call_tool(context_of(), "mail", FOR_ALERT, "cut")
    claim_as(context_of(), "cut", dead_claim)
    for _ in range(2):
        with pytest.raises(SluiceError, match="cut off in the middle"):
            call_tool(context_of(), "mail", FOR_ALERT, "cut")
    assert sent == [ALERT]
    assert kept(context_of(), "cut").result == {"error": CUT_OFF, "status": 500}
