"""A model's way into production: gate, approval, label, and MLflow's alias after it."""

import pytest

from classic_ml.registry import find_version, follow_label, gate_model, in_production, promote_model
from classic_ml.registry.store import open_store
from classic_ml.settings import GateSettings
from sluice.errors import GateRefused, NotAllowed, NotFound
from sluice.promotion import approve, labelled
from sluice.promotion.candidate import Candidate
from sluice.settings import PromotionSettings
from tests.classic_ml.trained import AUTHOR, GOOD, SIMILAR, Trained

CANDIDATE = Candidate("model", "churn", GOOD)
GATE = GateSettings(minimum_auc=0.6, calibration_error=0.2)


def promote(trained: Trained) -> None:
    promote_model(trained.home, trained.engine, "churn", GOOD, by=AUTHOR, settings=PromotionSettings())


def alias(trained: Trained) -> str | None:
    found = open_store(trained.home).get_registered_model("churn").aliases.get("production")
    return None if found is None else str(found)


def test_neither_gate_nor_approval_can_be_left_out(trained: Trained) -> None:
    with pytest.raises(GateRefused, match="No gate has judged"):
        promote(trained)
    with pytest.raises(NotFound, match="No gate has judged"):
        approve(trained.engine, CANDIDATE, by="bea")
    gate_model(trained.home, trained.engine, "churn", GOOD, GATE)
    with pytest.raises(GateRefused, match="Nobody has approved"):
        promote(trained)
    with pytest.raises(NotAllowed, match=f"{AUTHOR} is the author"):
        approve(trained.engine, CANDIDATE, by=AUTHOR)
    assert alias(trained) is None
    approve(trained.engine, CANDIDATE, by="bea")
    promote(trained)
    assert alias(trained) == GOOD
    label = labelled(trained.engine, "model", "churn", "production")
    assert label is not None
    assert label.version == GOOD


def test_the_alias_follows_a_label_that_moved_without_it(trained: Trained) -> None:
    gate_model(trained.home, trained.engine, "churn", GOOD, GATE)
    approve(trained.engine, CANDIDATE, by="bea")
    promote(trained)
    open_store(trained.home).set_registered_model_alias("churn", "production", "2")
    follow_label(trained.home, trained.engine, "churn")
    assert alias(trained) == GOOD


def test_the_next_step_is_named_where_nothing_is_in_production(trained: Trained) -> None:
    with pytest.raises(NotFound, match=r"Promote one: sluice ml promote churn VERSION$"):
        in_production(trained.engine, "churn")
    with pytest.raises(NotFound, match=r"Train one: sluice ml train weather$"):
        in_production(trained.engine, "weather")


def test_what_mlflow_has_lost_stays_in_production(trained: Trained) -> None:
    gate_model(trained.home, trained.engine, "churn", GOOD, GATE)
    approve(trained.engine, CANDIDATE, by="bea")
    open_store(trained.home).delete_model_version("churn", GOOD)
    promote(trained)
    open_store(trained.home).delete_registered_model("churn")
    follow_label(trained.home, trained.engine, "churn")
    assert find_version(trained.engine, "churn", GOOD).load(trained.home) is not None


def test_the_alias_never_comes_to_stand_on_another_run(trained: Trained, caplog: pytest.LogCaptureFixture) -> None:
    gate_model(trained.home, trained.engine, "churn", GOOD, GATE)
    approve(trained.engine, CANDIDATE, by="bea")
    promote(trained)
    client, other = open_store(trained.home), find_version(trained.engine, "churn", SIMILAR)
    client.delete_registered_model("churn")  # as where the store was lost: it counts from 1 again
    client.create_registered_model("churn")
    assert str(client.create_model_version("churn", other.artifacts, other.run).version) == GOOD
    follow_label(trained.home, trained.engine, "churn")
    assert alias(trained) is None
    assert "its alias cannot follow" in caplog.text


def test_a_version_that_is_not_there(trained: Trained) -> None:
    with pytest.raises(NotFound, match="no version 9"):
        promote_model(trained.home, trained.engine, "churn", "9", by="bea", settings=PromotionSettings())
