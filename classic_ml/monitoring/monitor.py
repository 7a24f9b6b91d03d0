"""Watching a model: the data it learned from against the newest month, its predictions included."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from classic_ml.features import TrainingSet, load_training_set
from classic_ml.monitoring.alert import Alert, alert_id, raise_alert
from classic_ml.monitoring.drift import DriftReport, check_drift
from classic_ml.monitoring.report import as_html, as_json
from classic_ml.registry import ModelVersion, find_version, in_production
from classic_ml.settings import MonitoringSettings
from classic_ml.training.cross_fit import out_of_fold
from classic_ml.training.examples import as_examples
from sluice.home import Home
from sluice.saving import save_whole

if TYPE_CHECKING:
    import polars as pl

PREDICTION = "prediction"
"""The column of scores in a report."""


@dataclass(frozen=True)
class Monitored:
    """What a look at a model found; `page` is the report, with JSON of the same name beside it."""

    report: DriftReport
    page: Path
    alert: Alert | None


def monitor_month(
    home: Home, engine: Engine, model: str, current: TrainingSet, settings: MonitoringSettings
) -> Monitored:
    """Compare the training set of the version in production with `current`, write the report, raise an alert.

    Both are scored by the version's fold models, so that no score is of a row that its model learned from.

    Raises:
        NotFound: no version is in production, or its files are gone.
        StateUnavailable: the database cannot be used.
    """
    label = in_production(engine, model)
    version = find_version(engine, model, label.version)
    reference = load_training_set(home, version.training_set)
    before, now = (_scored(rows, version, home) for rows in (reference, current))
    report = check_drift(before, now, [PREDICTION, *version.features], settings)

    monitor = f"drift/{model}"
    reference_id, current_id = f"training_set:{reference.id}", f"training_set:{current.id}"
    page = home.root / "ml" / "drift" / f"{alert_id(monitor, reference_id, current_id).replace('alert', model)}.html"
    title = f"Drift of {model}, version {version.version}"
    save_whole(page.with_suffix(".json"), as_json(report).encode())
    save_whole(page, as_html(title, report).encode())
    about = {"model": version.candidate.id, "page": str(page)}
    return Monitored(report, page, raise_alert(engine, monitor, reference_id, current_id, report, about))


def _scored(training_set: TrainingSet, version: ModelVersion, home: Home) -> "pl.DataFrame":
    rows = training_set.read()
    examples = as_examples(rows, training_set.entity, version.features, training_set.label)
    return rows.with_columns(prediction=out_of_fold(version.load_fold_models(home), examples))
