"""The demo on a real services process and a real table; models and predictions are played."""

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest
from rich.console import Console

from agents.demo import analyst
from classic_ml.lakehouse import Lakehouse
from sluice.audit import entries
from sluice.demo import Stage
from sluice.errors import MissingRequirement
from sluice.identity import list_keys
from sluice.lineage import trace
from sluice.settings import Settings
from tests.agents.running_services import RunningServices
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream

TEXT = "The only tunnel is at Quarley. It is 480 metres long, has no towpath. Boats pass it one after the other."
FOUND = {
    "index": "index:canal@1",
    "hits": [{"chunk": "0123456789abcdef", "path": "canal.md", "text": TEXT, "relevance": 0.6}],
}
PREDICTION = {"id": "p1", "model": "churn", "version": "3", "entity": "7590-VHVEG", "score": 0.63}


@pytest.fixture
def stage(services: RunningServices, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Stage:
    gateway = settings.gateway.model_copy(update={"port": urlsplit(services.origin).port})
    monkeypatch.setenv("OPENAI_API_KEY", services.ada)
    at_services = settings.model_copy(update={"gateway": gateway})
    return Stage(at_services, services.engine, Console(file=StringIO(), width=200))


@pytest.fixture
def table(settings: Settings) -> None:
    now = datetime(2026, 9, 1, tzinfo=UTC)
    contracts = ["Month-to-month", "Month-to-month", "Two year", "Two year"]
    rows = pl.DataFrame({"customer_id": list("abcd"), "contract": contracts, "churned": [True, True, True, False]})
    dated = rows.with_columns(pl.lit(now).alias("as_of"), pl.lit(now).alias("known_at"))
    Lakehouse.of(settings).append("gold", "churn", dated, source="test", made_from=[])


def play(upstream: ScriptedUpstream) -> None:
    upstream.next(*[Behaviour(path="/v1/search", body=FOUND)] * 2)
    upstream.next(*[Behaviour(path="/v1/predict/churn", body=PREDICTION)] * 3)


@pytest.mark.usefixtures("table")
def test_the_demo_plays_and_plays_again(stage: Stage, scripted_upstream: ScriptedUpstream, training: Path) -> None:
    for _ in range(2):
        play(scripted_upstream)
        outcome = analyst(stage)
    assert outcome.summary == (
        "3 questions answered by 3 tools, training approved by another person, 6 tools over MCP; "
        "streamed and plain answers agree."
    )
    shown = stage.console.file
    assert isinstance(shown, StringIO)
    for told in (
        "The only tunnel is at Quarley. It is 480 metres long, has no towpath.",
        "The contract with the highest churn percent is Month-to-month: 100.00.",
        "Customer 7590-VHVEG leaves with a probability of 0.63, according to model:churn@3.",
        "One's own approval: ada asked for call-",
        "Training for alert-1 led to version 2",
        "predict_churn → 0.63",
    ):
        assert told in shown.getvalue()
    call = outcome.next_commands[-1].removeprefix("sluice audit list ")
    assert [entry.action for entry in entries(stage.engine, call)] == ["tool.requested", "tool.approved", "tool.done"]
    assert trace(stage.engine, outcome.trace_id).known
    assert all(key.revoked_at for key in list_keys(stage.engine) if key.owner == "demo-reviewer")


def test_what_is_missing_is_named_with_the_demo_that_makes_it(
    stage: Stage, scripted_upstream: ScriptedUpstream
) -> None:
    missing = {"error": {"message": "Nothing has been indexed yet.", "code": "not_found"}}
    scripted_upstream.next(Behaviour(path="/v1/search", status=404, body=missing))
    with pytest.raises(MissingRequirement, match=r"Nothing has been indexed yet. Run: sluice demo ask"):
        analyst(stage)
    scripted_upstream.next(
        Behaviour(path="/v1/search", body=FOUND), Behaviour(path="/v1/predict/churn", body=PREDICTION)
    )
    with pytest.raises(MissingRequirement, match=r"There is no gold table 'churn'.*Run: sluice demo churn"):
        analyst(stage)
