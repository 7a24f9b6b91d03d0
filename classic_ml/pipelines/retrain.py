"""From an alert to a candidate that has been through its gate. What is promoted stays a person's decision."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from classic_ml.features import load_training_set
from classic_ml.monitoring.alert import Alert, link_retraining
from classic_ml.registry import find_version, gate_model
from classic_ml.settings import GateSettings, TrainingSettings
from classic_ml.training.train import TrainedModel, train
from sluice.home import Home
from sluice.promotion import Candidate, GateResult


@dataclass(frozen=True)
class Retrained:
    """The candidate that an alert led to, and its gate's verdict."""

    trained: TrainedModel
    gate: GateResult


def retrain(
    alert: Alert,
    *,
    home: Home,
    engine: Engine,
    training: TrainingSettings,
    gate: GateSettings,
    progress: Callable[[str], None] = lambda _: None,
) -> Retrained:
    """Fit the recipe of the version that the alert is about on the data that drifted, and judge the result.

    Repeated, also after a kill at any point, it finds what is there and goes on from it. The candidate's author is the
    monitor: any person may approve it.

    Raises:
        NotFound: the version or its training set is gone.
        Conflict: another process trains.
        InvalidRequest: what drifted has too few rows of one label.
        StateUnavailable: the database cannot be used.
    """
    candidate = Candidate.parse(alert.report["model"])
    version = find_version(engine, candidate.name, candidate.version)
    training_set = load_training_set(home, alert.report["current"].removeprefix("training_set:"))
    trained = train(
        training_set,
        model=candidate.name,
        home=home,
        engine=engine,
        author=alert.monitor,
        settings=training,
        recipe=version.parameters,
        alert=alert.id,
        progress=progress,
    )
    link_retraining(engine, alert, trained.version.run)
    progress("Judging the candidate")
    return Retrained(trained, gate_model(home, engine, candidate.name, trained.version.version, gate))
