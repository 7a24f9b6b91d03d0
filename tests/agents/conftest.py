"""A caller, a gateway that is a scripted upstream, and a stand-in for the training command."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from agents.tools import ToolContext, start_training
from sluice.settings import Settings
from tests.agents.running_services import RunningServices
from tests.doubles.scripted_upstream import ScriptedUpstream

ContextOf = Callable[..., ToolContext]

# As `sluice ml retrain ALERT --json`: a second run for the same alert finds what the first one made.
TRAINING = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[0]).parent
with open(folder / "attempts", "a") as attempts:
    attempts.write("x")
(folder / f"run-{sys.argv[1]}").touch()
print(json.dumps({"version": "2", "run": "r1", "gate": "gate-1", "verdict": "pass"}))
"""
ALERT = "alert-1"


@pytest.fixture
def settings(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> Settings:
    """A deployment whose gateway is the scripted upstream."""
    return Settings.model_validate(
        {
            "platform": {"home": tmp_path / "home"},
            "gateway": {"port": scripted_upstream.port},
            "models": {"small": {"source": {"path": "small"}, "port": 1}},
        }
    )


@pytest.fixture
def context_of(settings: Settings, database: Engine) -> ContextOf:
    """Makes a caller's context on the test's database."""

    def make(owner: str = "ada", request_id: str = "req-1") -> ToolContext:
        return ToolContext(settings, database, owner, f"sk-of-{owner}", request_id)

    return make


@pytest.fixture
def training(tmp_path: Path, database: Engine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An alert to train for, and the folder where the stand-in for the training command leaves what it did."""
    from classic_ml.monitoring import Alert

    with Session(database) as session:
        session.add(Alert(id=ALERT, monitor="drift/churn", severity="warning", summary="2 columns drifted", report={}))
        session.commit()
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    monkeypatch.setattr(start_training, "RETRAIN", (sys.executable, str(script)))
    return tmp_path


@pytest.fixture
def services(settings: Settings) -> Iterator[RunningServices]:
    """The services process with this package in it."""
    with RunningServices(settings) as running:
        yield running
