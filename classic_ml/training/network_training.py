"""Training the PyTorch network with Ray Train."""

import pickle
import tempfile
from pathlib import Path
from typing import Any

from classic_ml.settings import TrainingSettings
from classic_ml.training.cross_fit import CrossFit
from classic_ml.training.examples import Examples

CHECKPOINT = "cross_fit.pkl"


def train_network(examples: Examples, settings: TrainingSettings) -> CrossFit:
    """Fit the network's models in one worker of a `TorchTrainer`, and take them from its checkpoint.

    Needs a Ray session.
    """
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    parameters = {"algorithm": "network", "hidden": 32, "dropout": 0.2, "epochs": settings.epochs}
    with tempfile.TemporaryDirectory(prefix="sluice-train-") as folder:
        result = TorchTrainer(
            _train_in_worker,
            train_loop_config={"parameters": parameters, "examples": ray.put(examples), "seed": settings.seed},
            scaling_config=ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
            run_config=RunConfig(storage_path=folder, name="network"),
        ).fit()
        assert result.checkpoint is not None
        with result.checkpoint.as_directory() as kept:
            return pickle.loads((Path(kept) / CHECKPOINT).read_bytes())  # noqa: S301, our own worker wrote it


def _train_in_worker(config: dict[str, Any]) -> None:
    import ray
    from ray import train
    from ray.train.torch import prepare_model

    from classic_ml.training.cross_fit import cross_fit, roc_auc

    examples: Examples = ray.get(config["examples"])
    fitted = cross_fit(config["parameters"], examples, config["seed"], prepare_model)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CHECKPOINT).write_bytes(pickle.dumps(fitted))
        # Metrics without a checkpoint would not reach the driver.
        train.report({"auc": roc_auc(examples.labels, fitted.scores)}, checkpoint=train.Checkpoint(folder))
