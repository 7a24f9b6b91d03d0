"""Retrain a model, once another person has said yes."""

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from agents.tools.tool import Arguments, Result, Tool, ToolContext
from sluice.errors import ProcessFailed
from sluice.lifetime import die_with_parent

if TYPE_CHECKING:
    from classic_ml.monitoring import Alert

RETRAIN = (sys.executable, "-m", "sluice", "ml", "retrain")


class TrainingArguments(Arguments):
    """What to train for."""

    alert: Annotated[
        str, Field(min_length=1, max_length=100, description="The id of the monitoring alert to train for.")
    ]


def tool(context: ToolContext) -> Tool:
    """The tool, for the caller of `context`."""

    def find(arguments: TrainingArguments) -> "Alert":
        from classic_ml.monitoring import find_alert

        return find_alert(context.engine, arguments.alert)

    def run(arguments: TrainingArguments) -> Result:
        alert = find(arguments)
        told = _retrain(alert.id)
        candidate = {"version": told["version"], "verdict": told["verdict"]}
        return {"alert": alert.id, **candidate, "sources": [f"alert:{alert.id}", f"gate:{told['gate']}"]}

    return Tool(
        "start_training",
        "Retrain a model on the data that a monitoring alert is about. Waits for another person's approval.",
        TrainingArguments,
        run,
        check=find,
        side_effect=True,
        # A run is found by what it is made from: for the same alert there is one, however often it is asked for.
        idempotent=True,
        approval=True,
    )


def _retrain(alert: str) -> Result:
    """In a process of its own: training takes memory and libraries that the services do without."""
    done = subprocess.run(  # noqa: S603, our own command, and an alert that was looked up
        [*RETRAIN, alert, "--json"], capture_output=True, text=True, check=False, preexec_fn=die_with_parent()
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        raise ProcessFailed(f"Training for {alert} failed: {reason}")
    return json.loads(done.stdout)
