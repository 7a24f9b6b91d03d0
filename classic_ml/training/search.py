"""Finding the scikit-learn pipeline's parameters: trials of Ray Tune that Optuna proposes."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from classic_ml.settings import TrainingSettings
from classic_ml.training.cross_fit import CrossFit, cross_fit, cross_validate
from classic_ml.training.examples import Examples
from classic_ml.training.pipeline import Parameters


@dataclass(frozen=True)
class Trial:
    """One try: what was tried, and its five-fold ROC AUC."""

    parameters: Parameters
    auc: float


def search_pipelines(examples: Examples, settings: TrainingSettings, on_trial: Callable[[Trial], None]) -> list[Trial]:
    """Try `settings.trials` parameters, in one order whenever it is repeated: one at a time, with a fixed seed.

    Needs a Ray session.
    """
    import optuna
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found: list[Trial] = []

    class Listener(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            found.append(Trial(dict(trial.config), trial.last_result["auc"]))
            on_trial(found[-1])

        def __reduce__(self) -> tuple[Any, ...]:
            # Tune keeps a copy of its callbacks on disk for a restart, which never comes here.
            return tune.Callback, ()

    with tempfile.TemporaryDirectory(prefix="sluice-tune-") as folder:
        tune.Tuner(
            tune.with_parameters(_try, examples=examples, seed=settings.seed),
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(_space, metric="auc", mode="max", seed=settings.seed),
                num_samples=settings.trials,
                max_concurrent_trials=1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=folder, name="search", verbose=0, callbacks=[Listener()]),
        ).fit()
    return found


def fit_best(parameters: Parameters, examples: Examples, settings: TrainingSettings) -> CrossFit:
    """Fit the best trial's models as a Ray task."""
    import ray

    return ray.get(ray.remote(cross_fit).remote(parameters, ray.put(examples), settings.seed))


def _space(trial: Any) -> None:
    """Optuna's define-by-run space: what is asked for depends on the algorithm."""
    if trial.suggest_categorical("algorithm", ["boosting", "logistic"]) == "logistic":
        trial.suggest_float("C", 0.01, 10, log=True)
        return
    trial.suggest_float("learning_rate", 0.03, 0.15, log=True)
    trial.suggest_int("max_iter", 60, 180, step=20)
    trial.suggest_int("max_leaf_nodes", 4, 12)
    trial.suggest_float("l2_regularization", 0.1, 10, log=True)


def _try(config: dict[str, Any], examples: Examples, seed: int) -> None:
    from ray import tune

    tune.report({"auc": cross_validate(config, examples, seed)})
