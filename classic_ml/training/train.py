"""Training, from a training set to a candidate in the registry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlmodel import Session

from classic_ml.exclusive import exclusive
from classic_ml.features import TrainingSet
from classic_ml.ray_session import ray_session
from classic_ml.registry.store import artifacts_of, experiment_of, open_store
from classic_ml.registry.versions import ModelVersion, register
from classic_ml.settings import TrainingSettings
from classic_ml.training.cross_fit import CrossFit, roc_auc
from classic_ml.training.examples import Examples, as_examples, require_both_labels
from classic_ml.training.network_training import train_network
from classic_ml.training.pipeline import Parameters
from classic_ml.training.run_log import COMMIT, begin_run, end_killed_runs, finished_run, key_of, log_run, read_trials
from classic_ml.training.search import Trial, fit_best, search_pipelines
from sluice import lineage
from sluice.home import Home

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class TrainedModel:
    """A candidate, and how it came to be.

    Attributes:
        trials: what was tried, the network last; one entry where a recipe was given.
        reused: it had been trained before, and nothing was computed.
    """

    version: ModelVersion
    trials: list[Trial]
    reused: bool


def train(
    training_set: TrainingSet,
    *,
    model: str,
    home: Home,
    engine: Engine,
    author: str,
    settings: TrainingSettings,
    recipe: Parameters | None = None,
    alert: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> TrainedModel:
    """Train a candidate and register it. What was trained before is found again by the hash of all it depends on.

    Args:
        author: whose key it is trained with; somebody else has to approve it.
        recipe: fit these parameters and search for none.
        alert: the id of the alert that asked for it.
        progress: told of each step in words.

    Raises:
        Conflict: another process trains here, or the training set's file was changed.
        InvalidRequest: it has too few rows of one label.
        StateUnavailable: the database cannot be used.
    """
    with exclusive(home, "training"):
        client = open_store(home)
        experiment = experiment_of(client, home, model)
        key = key_of(training_set.id, settings.model_dump(exclude={"cpus"}) | {"model": model, "recipe": recipe})
        end_killed_runs(client, experiment)
        run_id = finished_run(client, experiment, key)
        reused = run_id is not None
        if run_id is None:
            tags = {
                "sluice.author": author,
                "sluice.training_set": training_set.id,
                "sluice.features": ",".join(training_set.features),
                **({"sluice.alert": alert} if alert else {}),
            }
            run_id = begin_run(client, home, model, key, tags)
            _run(client, run_id, training_set, home, settings, recipe, progress)
        _record_run(client, engine, run_id)
        version = register(client, engine, home, model, run_id)
        return TrainedModel(version, read_trials(artifacts_of(client, run_id)), reused)


def _run(
    client: "MlflowClient",
    run_id: str,
    training_set: TrainingSet,
    home: Home,
    settings: TrainingSettings,
    recipe: Parameters | None,
    progress: Callable[[str], None],
) -> None:
    try:
        rows = training_set.read()
        examples = as_examples(rows, training_set.entity, training_set.features, training_set.label)
        require_both_labels(examples)
        progress("Starting Ray")
        with ray_session(home, "training", cpus=settings.cpus):
            fitted, trials = (
                _search(examples, settings, progress)
                if recipe is None
                else _refit(recipe, examples, settings, progress)
            )
        progress("Logging the run to MLflow")
        log_run(client, run_id, examples, fitted, trials)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise


def _search(
    examples: Examples, settings: TrainingSettings, progress: Callable[[str], None]
) -> tuple[CrossFit, list[Trial]]:
    """The better of the best pipeline and the network."""
    progress(f"Ray Tune: trial 1 of {settings.trials}")
    done: list[Trial] = []

    def on_trial(trial: Trial) -> None:
        done.append(trial)
        if len(done) < settings.trials:
            progress(
                f"Ray Tune: trial {len(done) + 1} of {settings.trials}, best so far {max(t.auc for t in done):.4f}"
            )

    trials = search_pipelines(examples, settings, on_trial)
    progress("Fitting the best pipeline on Ray")
    best = fit_best(max(trials, key=lambda trial: trial.auc).parameters, examples, settings)
    progress("Training the PyTorch network with Ray Train")
    network = train_network(examples, settings)
    trials.append(Trial(network.parameters, roc_auc(examples.labels, network.scores)))
    return max((best, network), key=lambda fitted: roc_auc(examples.labels, fitted.scores)), trials


def _refit(
    recipe: Parameters, examples: Examples, settings: TrainingSettings, progress: Callable[[str], None]
) -> tuple[CrossFit, list[Trial]]:
    progress("Fitting on Ray")
    fitted = fit_best(recipe, examples, settings)
    return fitted, [Trial(recipe, roc_auc(examples.labels, fitted.scores))]


def _record_run(client: "MlflowClient", engine: Engine, run_id: str) -> None:
    run = client.get_run(run_id)
    tags = run.data.tags
    sources = [("training_set", f"training_set:{tags['sluice.training_set']}")]
    sources += [("alert", f"alert:{tags['sluice.alert']}")] if "sluice.alert" in tags else []
    sources += [("code", f"commit:{tags[COMMIT]}")] if COMMIT in tags else []
    attributes = {"author": tags["sluice.author"], "roc_auc": run.data.metrics["roc_auc"], **run.data.params}
    with Session(engine) as session:
        if COMMIT in tags:
            lineage.record(session, f"commit:{tags[COMMIT]}", {})
        lineage.record(session, f"run:{run_id}", attributes, sources)
        session.commit()
