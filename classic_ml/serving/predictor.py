"""Predicting: the version in production, the entity's features as they are online, and the record of both."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session

from classic_ml.features import online_features
from classic_ml.projects import find_project
from classic_ml.registry.promotion import in_production
from classic_ml.registry.versions import ModelVersion, find_version
from classic_ml.serving.prediction import Prediction
from classic_ml.training.cross_fit import score
from classic_ml.training.examples import as_values
from sluice.home import Home


@dataclass(frozen=True)
class _Loaded:
    version: ModelVersion
    pipeline: Any


class Predictor:
    """Answers for all models; each is loaded when it is first asked for, and again when its label has moved."""

    def __init__(self, engine: Engine, home: Home) -> None:
        self._engine = engine
        self._home = home
        self._loaded: dict[str, _Loaded] = {}

    def predict(self, model: str, entity: str, request_id: str | None) -> tuple[Prediction, datetime]:
        """The prediction, kept already, and the time its features tell of. Safe to call from several threads.

        Raises:
            NotFound: there is no such model, it has no version in production, or nothing is known of the entity.
            StateUnavailable: the database cannot be used.
        """
        project = find_project(model)
        label = in_production(self._engine, model)
        loaded = self._load(model, label.version)
        features = online_features(self._engine, project.view, entity)
        prediction = Prediction(
            model=model,
            version=label.version,
            promotion_id=label.promotion_id,
            entity=entity,
            features={name: features.values[name] for name in loaded.version.features},
            features_source=features.source,
            score=float(score(loaded.pipeline, as_values([features.values], loaded.version.features))[0]),
            request_id=request_id,
        )
        with Session(self._engine, expire_on_commit=False) as session:
            session.add(prediction)
            session.commit()
        return prediction, features.at

    def _load(self, model: str, version: str) -> _Loaded:
        loaded = self._loaded.get(model)
        if loaded is None or loaded.version.version != version:
            found = find_version(self._engine, model, version)
            loaded = self._loaded[model] = _Loaded(found, found.load(self._home))
        return loaded
