"""`sluice agents`, against a real services process in the gateway's place."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agents.commands import agents
from sluice.errors import UpstreamRefused
from tests.agents.conftest import ALERT
from tests.agents.running_services import RunningServices

TRAIN = "Retrain the churn model"


@pytest.fixture(autouse=True)
def _at_the_services(services: RunningServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    port = urlsplit(services.origin).port
    (tmp_path / "configs" / "gateway.yaml").write_text(f"gateway:\n  port: {port}\n")
    monkeypatch.setenv("SLUICE_CONFIG", str(tmp_path / "configs"))
    monkeypatch.setenv("OPENAI_API_KEY", services.ada)
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(agents, arguments)


def test_tools_are_listed() -> None:
    assert "start_training" in run("tools").stdout
    assert [tool["name"] for tool in json.loads(run("tools", "--json").stdout)][-1] == "start_training"


def test_a_question_is_answered_and_its_steps_go_to_stderr() -> None:
    done = run("ask", "Hi, how are you?", "--thread", "mine")
    assert done.exit_code == 0
    assert done.stdout.startswith("I have no tool for that.")
    told = json.loads(run("ask", "Hi, how are you?", "--thread", "mine", "--json").stdout)
    trace = f"Where it comes from: sluice trace {told['metadata']['answer_id']}"
    assert done.stderr == f"  route: none, by its words\nthread mine\n{trace}\n"
    assert (told["metadata"]["thread_id"], told["metadata"]["state"]) == ("mine", "answered")


def test_an_answer_breaks_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    told = json.loads(run("ask", "Hi, how are you?", "--thread", "mine", "--json").stdout)
    shown = run("ask", "Hi, how are you?", "--thread", "mine").stdout
    assert max(map(len, shown.splitlines())) <= 30
    assert shown.split() == told["answer"].split()


def test_an_approval_from_end_to_end(
    services: RunningServices, training: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("pending").stdout == "Nothing waits.\n"
    call_id = json.loads(run("ask", TRAIN, "--thread", "mine", "--json").stdout)["metadata"]["tool_call_id"]
    waiting = run("pending").stdout
    assert call_id in waiting
    assert ALERT in waiting
    assert "sluice trace" not in run("ask", TRAIN, "--thread", "mine").stderr
    own = run("approve", call_id).exception
    assert isinstance(own, UpstreamRefused)
    assert (own.status, own.message.split(",")[0]) == (403, f"ada asked for {call_id}")
    approved = run("approve", call_id, "--key", services.bob).stdout
    assert f"{call_id} of start_training, asked for by ada: done." in approved
    assert run("ask", TRAIN, "--thread", "mine").stdout.startswith(f"Training for {ALERT} led to version 2")


def test_denying_what_is_not_there() -> None:
    unknown = run("deny", "call-nothing").exception
    assert isinstance(unknown, UpstreamRefused)
    assert (unknown.exit_code, str(unknown)) == (
        2,
        "No call 'call-nothing' waits for approval. See: sluice agents pending",
    )
