"""A training set as scikit-learn and PyTorch take it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sluice.errors import InvalidRequest

if TYPE_CHECKING:
    import polars as pl

FOLDS = 5


@dataclass(frozen=True)
class Examples:
    """The rows of a training set.

    Attributes:
        values: rows × features, as objects: numbers, text, None.
        numeric, categorical: the places of features of each kind.
        labels: 0 or 1.
        folds: 0 to 4. An entity is always in the same fold, in this training set and in every other: whoever was fitted
            without fold k has seen none of its entities.
    """

    entities: tuple[str, ...]
    features: tuple[str, ...]
    numeric: tuple[int, ...]
    categorical: tuple[int, ...]
    values: NDArray[np.object_]
    labels: NDArray[np.int64]
    folds: NDArray[np.int8]


def as_examples(frame: "pl.DataFrame", entity: str, features: Sequence[str], label: str) -> Examples:
    """The rows of a training set's frame."""
    import polars as pl

    def is_numeric(name: str) -> bool:
        return frame.schema[name].is_numeric() or frame.schema[name] == pl.Boolean

    entities = tuple(frame[entity].cast(pl.String))
    return Examples(
        entities=entities,
        features=tuple(features),
        numeric=tuple(place for place, name in enumerate(features) if is_numeric(name)),
        categorical=tuple(place for place, name in enumerate(features) if not is_numeric(name)),
        values=as_values(frame.select(features).iter_rows(named=True), features),
        labels=frame[label].cast(pl.Int64).to_numpy(),
        folds=np.array([fold_of(one) for one in entities], dtype=np.int8),
    )


def require_both_labels(examples: Examples) -> None:
    """Each fold needs rows of both labels, to be fitted without and to be scored.

    Raises:
        InvalidRequest: one has not.
    """
    parts = [examples.labels[examples.folds == fold] for fold in range(FOLDS)]
    if any(len(np.unique(labels)) < 2 for labels in parts):
        raise InvalidRequest(
            f"{len(examples.labels):,} rows, {int(examples.labels.sum()):,} of them with label 1, are too few for "
            f"{FOLDS} folds that have both labels.",
            fix="Load more data: sluice ml ingest FILE",
        )


def as_values(rows: Iterable[Mapping[str, Any]], features: Sequence[str]) -> NDArray[np.object_]:
    """Rows × features as objects, in the features' order; what a row lacks is None."""
    return np.array([[row.get(name) for name in features] for row in rows], dtype=object).reshape(-1, len(features))


def fold_of(entity: str) -> int:
    """By hash, so that it depends on nothing but the entity."""
    return int.from_bytes(hashlib.sha256(entity.encode()).digest()[:8]) % FOLDS
