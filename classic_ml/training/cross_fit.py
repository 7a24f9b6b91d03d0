"""Cross-fitting: one model for each fold, fitted without it, so that every row is scored by one that never saw it.

The five models are kept with the one fitted on everything. A later candidate is compared with this one on *its* rows, new
months among them, and still no row is scored by a model that has seen its entity: folds go by the entity's hash.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classic_ml.training.examples import FOLDS, Examples
from classic_ml.training.pipeline import Parameters, build_pipeline

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class CrossFit:
    """A fitted candidate.

    Attributes:
        model: fitted on all rows; what is served.
        fold_models: `fold_models[k]` was fitted without fold k.
        scores: of each row, by the model that never saw it.
    """

    parameters: Parameters
    model: Any
    fold_models: tuple[Any, ...]
    scores: Scores


def cross_validate(parameters: Parameters, examples: Examples, seed: int) -> float:
    """The five-fold ROC AUC over all out-of-fold scores."""
    return roc_auc(examples.labels, out_of_fold(_fit_folds(parameters, examples, seed, None), examples))


def cross_fit(
    parameters: Parameters, examples: Examples, seed: int, prepare: Callable[[Any], Any] | None = None
) -> CrossFit:
    """Fit the models of all folds, and the one that is served.

    Args:
        prepare: see `NetworkClassifier`.
    """
    fold_models = _fit_folds(parameters, examples, seed, prepare)
    model = _fit(parameters, examples, np.ones(len(examples.labels), dtype=bool), seed, prepare)
    return CrossFit(parameters, model, fold_models, out_of_fold(fold_models, examples))


def out_of_fold(fold_models: tuple[Any, ...], examples: Examples) -> Scores:
    """The score of each row, by the model fitted without the row's fold; these need not be the rows it was fitted on."""
    scores = np.zeros(len(examples.labels))
    for fold, model in enumerate(fold_models):
        rows = examples.folds == fold
        if rows.any():
            scores[rows] = score(model, examples.values[rows])
    return scores


def score(model: Any, values: NDArray[np.object_]) -> Scores:
    """The probability of class 1 for each row."""
    return model.predict_proba(values)[:, 1].astype(np.float64)


def roc_auc(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """The area under the ROC curve: the share of pairs in which the 1 has the higher score, ties counting half.

    By ranks, so that a bootstrap's thousands of calls take seconds.
    """
    from scipy.stats import rankdata

    ones = int(labels.sum())
    pairs = ones * (len(labels) - ones)
    return float((rankdata(scores)[labels == 1].sum() - ones * (ones + 1) / 2) / pairs)


def _fit_folds(
    parameters: Parameters, examples: Examples, seed: int, prepare: Callable[[Any], Any] | None
) -> tuple[Any, ...]:
    return tuple(_fit(parameters, examples, examples.folds != fold, seed, prepare) for fold in range(FOLDS))


def _fit(
    parameters: Parameters,
    examples: Examples,
    rows: NDArray[np.bool_],
    seed: int,
    prepare: Callable[[Any], Any] | None,
) -> Any:
    given = parameters | ({"prepare": prepare} if prepare else {})
    return build_pipeline(given, examples, seed).fit(examples.values[rows], examples.labels[rows])
