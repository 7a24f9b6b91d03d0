import io
from pathlib import Path

import pytest
from rich.console import Console
from sqlmodel import Session

from sluice import lineage
from sluice.cli.trace_demo import trace_demo
from sluice.database import connect, migrate
from sluice.demo import Outcome, Stage
from sluice.errors import MissingRequirement
from sluice.settings import Settings


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    settings = Settings.model_validate({"platform": {"home": tmp_path}})
    migrate(settings.database_url)
    return Stage(settings, connect(settings.database_url), Console(file=io.StringIO(), width=120))


def test_outcomes_are_kept_for_the_demos_that_build_on_them(stage: Stage) -> None:
    assert stage.outcomes() == {}
    stage.keep("ask", Outcome("answered", ("sluice rag ask",), "answer:a"))
    stage.keep("churn", Outcome("trained"))
    stage.keep("churn", Outcome("trained again"))
    assert stage.outcomes() == {
        "ask": Outcome("answered", ("sluice rag ask",), "answer:a"),
        "churn": Outcome("trained again"),
    }


def test_the_trace_demo_says_what_must_be_played_first(stage: Stage) -> None:
    with pytest.raises(MissingRequirement, match="sluice demo ask"):
        trace_demo(stage)


def test_the_trace_demo_shows_what_is_behind_an_answer_and_a_prediction(stage: Stage) -> None:
    with Session(stage.engine) as session:
        lineage.record(session, "answer:a", {"question": "why?"}, [("document", "document:d")])
        lineage.record(session, "document:d", {"path": "guide.md"})
        lineage.record(session, "run:r", {"auc": 0.85}, [("commit", "commit:c")])
        session.commit()
    stage.keep("ask", Outcome("", trace_id="answer:a"))
    stage.keep("churn", Outcome("", trace_id="run:r"))
    outcome = trace_demo(stage)
    assert outcome.summary.startswith("4 things")
    assert isinstance(stage.console.file, io.StringIO)
    shown = stage.console.file.getvalue()
    assert "guide.md" in shown
    assert "Not recorded: commit:c" in shown
