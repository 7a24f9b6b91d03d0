"""`sluice ml` from a version to a retraining's alert, with what goes wrong on the way."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from classic_ml.commands import ml
from sluice.errors import GateRefused, InvalidRequest, MissingRequirement, NotAllowed, NotAuthenticated, NotFound
from sluice.identity import create_key
from tests.classic_ml.trained import AUTHOR, GOOD, USELESS, Trained

LENIENT = "classic_ml: {gate: {minimum_auc: 0.6, calibration_error: 0.2}}\n"


@pytest.fixture(autouse=True)
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings whose home is the one of `trained`, where a test asks for it."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "all.yaml").write_text(LENIENT)
    monkeypatch.setenv("SLUICE_CONFIG", str(tmp_path / "configs"))
    monkeypatch.setenv("SLUICE_PLATFORM__HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def run(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(ml, arguments, catch_exceptions=False)
    assert result.exit_code == exit_code
    return result.stdout


def key_of(trained: Trained, owner: str) -> str:
    return create_key(trained.engine, owner=owner)[1]


def test_from_a_version_to_production_and_to_an_alert(trained: Trained) -> None:
    author, other = key_of(trained, AUTHOR), key_of(trained, "bea")
    with pytest.raises(GateRefused, match="No gate has judged"):
        run("promote", "churn", GOOD, "--key", other)
    verdict = json.loads(run("gate", "churn", GOOD, "--json"))
    assert (verdict["verdict"], verdict["incumbent"]) == ("pass", None)
    with pytest.raises(GateRefused, match="Nobody has approved"):
        run("promote", "churn", GOOD, "--key", other)
    with pytest.raises(NotAllowed, match="ada is the author"):
        run("approve", "churn", GOOD, "--key", author)
    assert "bea has approved" in run("approve", "churn", GOOD, "--key", other)
    assert "Version 1 of churn is in 'production'" in run("promote", "churn", GOOD, "--key", author)
    listed = json.loads(run("models", "--json"))
    assert [(row["version"], row["gate"], row["label"]) for row in listed] == [
        ("1", "pass", "production"),
        ("2", None, None),
        ("3", None, None),
    ]
    found = json.loads(run("drift", "--json"))
    assert found["severity"] == "critical"
    assert Path(found["page"]).exists()
    assert f"Next: sluice ml retrain {found['alert']}" in run("drift")
    assert json.loads(run("drift", "--month", "2026-01-31", "--json"))["alert"] is None
    with pytest.raises(InvalidRequest, match=r"as of 2020-01-01\. There are: 2026-01-31, 2026-02-28\.$"):
        run("drift", "--month", "2020-01-01")


def test_a_verdict_that_is_no_pass_is_an_exit_code(trained: Trained) -> None:
    assert "Verdict on model 'churn' version 3: fail" in run("gate", "churn", USELESS, exit_code=1)


def test_who_acts_must_be_known(trained: Trained) -> None:
    with pytest.raises(MissingRequirement, match="There is no API key"):
        run("approve", "churn", GOOD)
    with pytest.raises(NotAuthenticated):
        run("approve", "churn", GOOD, "--key", "sk-sluice-wrong")


def test_what_is_not_there(trained: Trained) -> None:
    key = key_of(trained, "bea")
    for command in (("gate", "churn", "9"), ("approve", "churn", "9", "--key", key)):
        with pytest.raises(NotFound, match="no version 9 of model 'churn'"):
            run(*command)
    with pytest.raises(NotFound, match="no model 'weather'"):
        run("train", "weather", "--key", key)
    with pytest.raises(NotFound, match="no training set abc"):
        run("train", "--training-set", "abc", "--key", key)
    with pytest.raises(NotFound, match="No version of model 'churn' is in production"):
        run("drift")
    with pytest.raises(NotFound, match="There is no alert"):
        run("retrain")


def test_before_anything_was_loaded(tmp_path: Path) -> None:
    assert "has no version yet" in run("models")
    from sluice.database import connect

    engine = connect(f"sqlite:///{tmp_path / 'home' / 'sluice.db'}")
    _, key = create_key(engine, owner="ada")
    engine.dispose()
    with pytest.raises(NotFound, match=r"There is no table gold\.churn.*sluice ml ingest"):
        run("train", "--key", key)
