"""A real process, killed at every node of the graph, and asked again."""

import json
import multiprocessing
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from agents.tools import ToolCall, ToolContext, decide
from sluice import audit
from sluice.lineage import trace
from tests.agents.analyst import dying_analyst
from tests.agents.conftest import ContextOf
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream


class Analyst:
    """Starts one process for each time it is asked; they are forked from one that has imported everything."""

    def __init__(self, context: ToolContext, training: Path) -> None:
        self._context = context
        self._retrain = (sys.executable, str(training / "training.py"))
        self._told = training / "told.json"
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload([dying_analyst.__name__])

    def killed(self, death: str, question: str) -> None:
        """Ask, and see that the process was killed there."""
        assert self._ask(question, death) == -signal.SIGKILL

    def asked(self, question: str) -> dict[str, Any]:
        """Ask, and let it answer."""
        assert self._ask(question, "") == 0
        return json.loads(self._told.read_text())

    def killed_in_training(self, call_id: str) -> None:
        """Approve, and see that the process was killed in the middle."""
        assert self._run(dying_analyst.approve, call_id) == -signal.SIGKILL

    def calls(self) -> list[ToolCall]:
        with Session(self._context.engine) as session:
            return list(session.exec(select(ToolCall)))

    def _ask(self, question: str, death: str) -> int | None:
        return self._run(dying_analyst.ask, question, death, self._told)

    def _run(self, target: Callable[..., None], *arguments: object) -> int | None:
        process = self._processes.Process(target=target, args=(self._context.settings, self._retrain, *arguments))
        process.start()
        process.join(300)
        return process.exitcode


@pytest.fixture
def analyst(context_of: ContextOf, training: Path) -> Analyst:
    return Analyst(context_of(), training)


def test_killed_at_every_node_the_training_runs_once(analyst: Analyst, context_of: ContextOf, training: Path) -> None:
    question = "Retrain the churn model"
    for death in ("before:router", "after:router", "before:planner", "after:planner", "before:executor"):
        analyst.killed(death, question)
    assert not analyst.calls()
    waiting = analyst.asked(question)
    assert waiting["state"] == "waiting"
    assert not (training / "attempts").exists()

    analyst.killed_in_training(waiting["tool_call_id"])
    [running] = analyst.calls()
    assert (running.state, running.decided_by) == ("running", "bob")
    assert decide(context_of("bob"), running.id, approved=True).state == "done"
    for death in ("before:executor", "after:executor", "before:answer", "after:answer"):
        analyst.killed(death, question)

    answered = analyst.asked(question)
    assert answered["state"] == "answered"
    assert answered["text"].startswith("Training for alert-1 led to version 2")
    assert analyst.asked(question) == answered
    [call] = analyst.calls()
    assert call.state == "done"
    assert len(list(training.glob("run-*"))) == 1
    # The one that was cut off, and the one that found the run made: nothing after that.
    assert (training / "attempts").read_text() == "xx"
    actions = [entry.action for entry in audit.entries(context_of().engine, f"tool_call:{call.id}")]
    assert actions == ["tool.requested", "tool.approved", "tool.done"]
    answer = trace(context_of().engine, answered["answer_id"])
    assert f"tool_call:{call.id}" in [source.id for _, source in answer.sources]


def test_killed_at_every_node_a_read_is_one_call(analyst: Analyst, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.default = Behaviour(content=('{"choice": "drift"}',))
    question = "Has the data drifted since we trained?"
    for node in ("router", "planner", "executor", "answer"):
        analyst.killed(f"before:{node}", question)
        analyst.killed(f"after:{node}", question)
    answered = analyst.asked(question)
    assert answered["text"].endswith("warning: 2 columns drifted (alert-1).")
    assert answered["model_calls"] == 1
    [call] = analyst.calls()
    assert call.id == answered["tool_call_id"]
