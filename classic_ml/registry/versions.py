"""Versions of models. MLflow's registry numbers them; what serving needs to know of one stands in the lineage."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from classic_ml.registry.artifact import FOLD_MODELS, MODEL, file_hash, load_pickle
from classic_ml.registry.store import artifacts_of
from sluice import lineage
from sluice.errors import NotFound
from sluice.home import Home
from sluice.lineage.graph import LineageNode
from sluice.promotion import Candidate

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARAMETERS = "sluice.parameters"
"""The tag of a run that holds them as JSON; MLflow's own parameters are text."""


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model.

    Attributes:
        run: MLflow's id of the run that made it.
        author: whose key it was trained with.
        features: in the order in which the model takes them.
        artifacts: the folder of its files, relative to the home folder.
        hashes: SHA-256 of each file.
        auc: five-fold ROC AUC on its training set.
        parameters: the algorithm, and what it was given.
    """

    model: str
    version: str
    run: str
    author: str
    training_set: str
    features: tuple[str, ...]
    artifacts: str
    hashes: dict[str, str]
    auc: float
    parameters: dict[str, Any]

    @property
    def candidate(self) -> Candidate:
        """What its gate judges and a promotion moves to."""
        return Candidate("model", self.model, self.version)

    def load(self, home: Home) -> Any:
        """The fitted pipeline that is served. Raises what `load_pickle` does."""
        return load_pickle(home.root / self.artifacts / MODEL, self.hashes[MODEL])

    def load_fold_models(self, home: Home) -> tuple[Any, ...]:
        """The models of the folds. Raises what `load_pickle` does."""
        return load_pickle(home.root / self.artifacts / FOLD_MODELS, self.hashes[FOLD_MODELS])


def register(client: "MlflowClient", engine: Engine, home: Home, model: str, run_id: str) -> ModelVersion:
    """The version of a finished run: the one it has, or a new one."""
    run = client.get_run(run_id)
    if not any(found.name == model for found in client.search_registered_models(f"name = '{model}'")):
        client.create_registered_model(model)
    tags, folder = run.data.tags, artifacts_of(client, run_id)
    attributes = {
        "run": run_id,
        "author": tags["sluice.author"],
        "training_set": tags["sluice.training_set"],
        "features": tags["sluice.features"].split(","),
        "artifacts": str(folder.relative_to(home.root)),
        "hashes": {name: file_hash(folder / name) for name in (MODEL, FOLD_MODELS)},
        "auc": run.data.metrics["roc_auc"],
        "parameters": json.loads(tags[PARAMETERS]),
    }
    with Session(engine) as session:
        version = _number(client, session, model, run)
        lineage.record(session, f"model:{model}@{version}", attributes, [("run", f"run:{run_id}")])
        session.commit()
    return _version(model, version, attributes)


def find_version(engine: Engine, model: str, version: str) -> ModelVersion:
    """A version by its number.

    Raises:
        NotFound: there is none.
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        # Models that vLLM serves stand in the lineage too, by the hash of their files.
        node = session.get(LineageNode, f"model:{model}@{version}") if version.isdigit() else None
    if node is None:
        raise NotFound(f"There is no version {version[:20]} of model '{model[:100]}'.", fix="See: sluice ml models")
    return _version(model, version, node.attributes)


def list_versions(engine: Engine, model: str) -> Sequence[ModelVersion]:
    """All versions of a model, oldest first.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    prefix = f"model:{model}@"
    with Session(engine) as session:
        nodes = session.exec(select(LineageNode).where(col(LineageNode.id).startswith(prefix, autoescape=True))).all()
    numbered = [(node.id.removeprefix(prefix), node) for node in nodes]
    ours = sorted((int(version), node) for version, node in numbered if version.isdigit())
    return [_version(model, str(version), node.attributes) for version, node in ours]


def _number(client: "MlflowClient", session: Session, model: str, run: "Run") -> str:
    """The number of a run's version: the one it has, or a new one.

    A store that was lost, or a model that was deleted there, counts from 1 again. What a number has once named it goes on
    naming, in gates, approvals and labels, so such numbers are passed over.
    """
    run_id = run.info.run_id
    known = iter(sorted(client.search_model_versions(f"run_id = '{run_id}'"), key=lambda found: int(found.version)))
    while True:
        found = next(known, None) or client.create_model_version(model, f"{run.info.artifact_uri}/model", run_id)
        node = session.get(LineageNode, f"model:{model}@{found.version}")
        if node is None or node.attributes["run"] == run_id:
            return str(found.version)


def _version(model: str, version: str, attributes: dict[str, Any]) -> ModelVersion:
    return ModelVersion(
        model=model,
        version=version,
        run=attributes["run"],
        author=attributes["author"],
        training_set=attributes["training_set"],
        features=tuple(attributes["features"]),
        artifacts=attributes["artifacts"],
        hashes=attributes["hashes"],
        auc=attributes["auc"],
        parameters=attributes["parameters"],
    )
