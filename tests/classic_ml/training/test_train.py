"""Training on Ray, from a training set to a candidate, and from an alert to the next one. One Ray session for all."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from classic_ml.exclusive import exclusive
from classic_ml.monitoring import Alert, find_alert, monitor_month
from classic_ml.pipelines import retrain
from classic_ml.ray_session import ray_session
from classic_ml.registry import gate_model, list_versions, promote_model
from classic_ml.registry.store import artifacts_of, open_store
from classic_ml.settings import GateSettings, MonitoringSettings, TrainingSettings
from classic_ml.training.run_log import KEY, begin_run
from classic_ml.training.train import TrainedModel, train
from sluice import lineage
from sluice.errors import Conflict
from sluice.promotion import Verdict, approve
from sluice.settings import PromotionSettings
from tests.classic_ml.trained import AUTHOR, FEBRUARY, JANUARY, Trained, load_months

pytestmark = pytest.mark.ray

SETTINGS = TrainingSettings(trials=2, epochs=2)
GATE = GateSettings(margin=0.1, minimum_auc=0.6, calibration_error=0.2)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    loaded = load_months(tmp_path_factory.mktemp("training") / "home")
    with ray_session(loaded.home, "tests", cpus=2):
        yield loaded
    loaded.engine.dispose()


@pytest.fixture(scope="module")
def first(here: Trained) -> TrainedModel:
    return run(here)


def run(here: Trained, settings: TrainingSettings = SETTINGS) -> TrainedModel:
    return train(
        here.month(JANUARY), model="churn", home=here.home, engine=here.engine, author=AUTHOR, settings=settings
    )


def statuses(here: Trained) -> list[str]:
    client = open_store(here.home)
    experiment = client.get_experiment_by_name("churn")
    assert experiment is not None
    return sorted(run.info.status for run in client.search_runs([experiment.experiment_id]))


def test_the_best_of_all_trials_is_registered_with_its_plots(here: Trained, first: TrainedModel) -> None:
    assert (first.reused, len(first.trials)) == (False, 3)
    assert first.trials[-1].parameters["algorithm"] == "network"
    best = max(first.trials, key=lambda trial: trial.auc)
    assert (first.version.auc, first.version.parameters) == (best.auc, best.parameters)
    client = open_store(here.home)
    logged = client.get_run(first.version.run)
    assert logged.data.metrics["roc_auc"] == best.auc
    folder = artifacts_of(client, first.version.run)
    assert {path.name for path in (folder / "plots").iterdir()} == {"roc.png", "calibration.png"}
    tree = lineage.trace(here.engine, first.version.candidate.id)
    [(role, made_by)] = tree.sources
    assert (role, made_by.id) == ("run", f"run:{first.version.run}")
    assert f"training_set:{first.version.training_set}" in [source.id for _, source in made_by.sources]


def test_the_same_training_is_found_again(here: Trained, first: TrainedModel) -> None:
    again = run(here)
    assert again == replace(first, reused=True)
    assert statuses(here) == ["FINISHED"]
    assert len(list_versions(here.engine, "churn")) == 1


def test_a_killed_run_is_marked_and_replaced(here: Trained, first: TrainedModel) -> None:
    client = open_store(here.home)
    killed = begin_run(client, here.home, "churn", client.get_run(first.version.run).data.tags[KEY], {})
    assert run(here).version == first.version
    assert client.get_run(killed).info.status == "KILLED"
    assert len(list_versions(here.engine, "churn")) == 1


def test_one_training_at_a_time(here: Trained) -> None:
    with exclusive(here.home, "training"), pytest.raises(Conflict, match="Another process holds 'training'"):
        run(here)


def test_an_alert_leads_to_a_judged_candidate_and_no_further(here: Trained, first: TrainedModel) -> None:
    version = first.version
    approve(here.engine, gate_model(here.home, here.engine, "churn", version.version, GATE).candidate, by="bea")
    promote_model(here.home, here.engine, "churn", version.version, by="bea", settings=PromotionSettings())
    found = monitor_month(here.home, here.engine, "churn", here.month(FEBRUARY), MonitoringSettings())
    assert found.alert is not None

    def follow(alert: Alert) -> tuple[str, str]:
        done = retrain(alert, home=here.home, engine=here.engine, training=SETTINGS, gate=GATE)
        assert done.gate.incumbent == version.version
        assert done.gate.verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)
        assert done.trained.version.parameters == version.parameters
        assert done.trained.version.author == "drift/churn"
        return done.trained.version.run, done.gate.id

    run_id, gate_id = follow(found.alert)
    assert find_alert(here.engine).retraining == run_id
    assert follow(find_alert(here.engine)) == (run_id, gate_id)
    assert len(list_versions(here.engine, "churn")) == 2
    roles = [role for role, _ in lineage.trace(here.engine, f"run:{run_id}").sources]
    assert roles[:2] == ["training_set", "alert"]


def test_plots_are_pictures(here: Trained, first: TrainedModel) -> None:
    folder: Path = artifacts_of(open_store(here.home), first.version.run)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (folder / "plots").iterdir())
