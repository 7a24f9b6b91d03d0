"""One run in MLflow for each training that is different, found again when the same is asked for a second time."""

import hashlib
import json
import pickle
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sklearn

from classic_ml.registry.artifact import FOLD_MODELS
from classic_ml.registry.store import experiment_of
from classic_ml.registry.versions import PARAMETERS
from classic_ml.training.cross_fit import CrossFit, roc_auc
from classic_ml.training.examples import FOLDS, Examples
from classic_ml.training.plots import save_plots
from classic_ml.training.search import Trial
from sluice.home import Home

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY = "sluice.key"
COMMIT = "sluice.commit"


def key_of(training_set: str, parameters: dict[str, Any]) -> str:
    """The hash of everything that a training's result depends on: rows, parameters, this package's code, scikit-learn."""
    digest = hashlib.sha256(json.dumps([training_set, parameters, sklearn.__version__], sort_keys=True).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def finished_run(client: "MlflowClient", experiment: str, key: str) -> str | None:
    """The id of the finished run of this key."""
    found = client.search_runs(
        [experiment], f"tags.`{KEY}` = '{key}' and attributes.status = 'FINISHED'", max_results=1
    )
    return found[0].info.run_id if found else None


def end_killed_runs(client: "MlflowClient", experiment: str) -> None:
    """Mark runs whose process was killed; the caller holds the lock without which none can be running."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        client.set_terminated(run.info.run_id, "KILLED")


def begin_run(client: "MlflowClient", home: Home, model: str, key: str, tags: dict[str, str]) -> str:
    """A new run; returns its id."""
    experiment = experiment_of(client, home, model)
    tags = {KEY: key, **({COMMIT: commit} if (commit := current_commit()) else {}), **tags}
    return client.create_run(experiment, tags=tags, run_name=f"{model}-{key[:8]}").info.run_id


def log_run(client: "MlflowClient", run_id: str, examples: Examples, fitted: CrossFit, trials: list[Trial]) -> None:
    """Log parameters, metrics, plots and models, and only then call the run finished."""
    from mlflow.entities import Metric, Param, RunTag

    labels, scores = examples.labels, fitted.scores
    now = int(time.time() * 1000)
    metrics = {"roc_auc": roc_auc(labels, scores), "brier": float(((scores - labels) ** 2).mean())}
    for fold in range(FOLDS):
        rows = examples.folds == fold
        metrics[f"roc_auc_fold_{fold}"] = roc_auc(labels[rows], scores[rows])
    client.log_batch(
        run_id,
        metrics=[
            *(Metric(name, value, now, 0) for name, value in metrics.items()),
            *(Metric("trial_roc_auc", trial.auc, now, step) for step, trial in enumerate(trials)),
        ],
        params=[Param(name, str(value)) for name, value in fitted.parameters.items()],
        tags=[RunTag(PARAMETERS, json.dumps(fitted.parameters))],
    )
    with tempfile.TemporaryDirectory(prefix="sluice-run-") as folder:
        _save_files(Path(folder), examples, fitted, trials)
        client.log_artifacts(run_id, folder)
    client.set_terminated(run_id, "FINISHED")


def read_trials(artifacts: Path) -> list[Trial]:
    """The trials of a finished run."""
    return [Trial(**trial) for trial in json.loads((artifacts / "trials.json").read_bytes())]


def current_commit() -> str | None:
    """The Git commit that this code stands at, where it is a checkout."""
    git = ("git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD")
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None


def _save_files(folder: Path, examples: Examples, fitted: CrossFit, trials: list[Trial]) -> None:
    from mlflow import sklearn as flavour

    # Pickled, as MLflow's safe format knows no network of ours; it is read only where its hash is the recorded one.
    flavour.save_model(
        fitted.model,
        str(folder / "model"),
        serialization_format="cloudpickle",
        pip_requirements=[f"scikit-learn=={sklearn.__version__}"],
    )
    (folder / FOLD_MODELS).write_bytes(pickle.dumps(fitted.fold_models))
    (folder / "trials.json").write_text(json.dumps([asdict(trial) for trial in trials], indent=2))
    save_plots(folder / "plots", examples, fitted.scores)
