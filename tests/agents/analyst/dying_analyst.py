"""One turn of the analyst in a process of its own, killed with SIGKILL where it is told: `<before|after>:<node>`.

`before` a node: its predecessor's checkpoint is written. `after`: its work is done, its own checkpoint is not.
"""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.runtime import Runtime

from agents.analyst import graph
from agents.analyst.state import State
from agents.analyst.turns import End, Text, Turns
from agents.tools import ToolContext, decide, start_training
from sluice.database import connect
from sluice.settings import Settings

Node = Callable[[State, Runtime[ToolContext]], dict[str, Any]]
NODES = {"router": "_route", "planner": "_plan", "executor": "_execute", "answer": "_answer"}


def ask(settings: Settings, retrain: tuple[str, ...], question: str, death: str, told: Path) -> None:
    """Ask as ada; what the analyst answers goes to the file `told`."""
    start_training.RETRAIN = retrain
    when, _, node = death.partition(":")
    if node:
        setattr(graph, NODES[node], _dying(getattr(graph, NODES[node]), when))
    context = ToolContext(settings, connect(settings.database_url), "ada", "sk-of-ada")
    told.write_text(json.dumps(asyncio.run(_turn(context, question))))


def approve(settings: Settings, retrain: tuple[str, ...], call_id: str) -> None:
    """Approve as bob, and die when the training is done and nothing of it is written down."""
    start_training.RETRAIN = retrain
    run = start_training._retrain  # pyright: ignore[reportPrivateUsage]
    start_training._retrain = lambda arguments: (run(arguments), _die())  # type: ignore[assignment]
    decide(ToolContext(settings, connect(settings.database_url), "bob", "sk-of-bob"), call_id, approved=True)


def _dying(node: Node, when: str) -> Node:
    def run(state: State, runtime: Runtime[ToolContext]) -> dict[str, Any]:
        if when == "before":
            _die()
        node(state, runtime)
        _die()
        raise AssertionError

    return run


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _turn(context: ToolContext, question: str) -> dict[str, Any]:
    async with AsyncSqliteSaver.from_conn_string(str(context.settings.platform.home / "checkpoints.db")) as saver:
        turns = Turns(graph.build_graph(saver))
        events = [event async for event in turns.run(context, "one", [("user", question)])]
    text = "".join(event.text for event in events if isinstance(event, Text))
    [told] = [event.told for event in events if isinstance(event, End)]
    return {"text": text, **told}
