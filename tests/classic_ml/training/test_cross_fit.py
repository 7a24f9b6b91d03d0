"""Out-of-fold scores, for all three algorithms."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from classic_ml.training.cross_fit import cross_fit, cross_validate, out_of_fold, roc_auc, score
from classic_ml.training.examples import FOLDS, Examples, as_values, fold_of

ALGORITHMS: list[dict[str, Any]] = [
    {"algorithm": "logistic", "C": 1.0},
    {"algorithm": "boosting", "max_iter": 20},
    {"algorithm": "network", "epochs": 15},
]


def examples_of(rows: int, seed: int = 0) -> Examples:
    """One number and one category that tell, one that does not, and gaps."""
    chance = np.random.default_rng(seed)
    number, category = chance.normal(size=rows), chance.choice(["a", "b"], rows)
    labels = (number + (category == "a") + chance.normal(scale=0.5, size=rows) > 0.5).astype(np.int64)
    values = np.empty((rows, 3), dtype=object)
    values[:, 0], values[:, 1], values[:, 2] = number, category, chance.normal(size=rows)
    values[::50, 0] = None
    entities = tuple(f"e{place}" for place in range(rows))
    folds = np.array([fold_of(entity) for entity in entities], dtype=np.int64)
    return Examples(entities, ("n", "c", "noise"), (0, 2), (1,), values, labels, folds)


@pytest.mark.parametrize("parameters", ALGORITHMS, ids=lambda parameters: parameters["algorithm"])
def test_each_algorithm_learns_and_does_so_again_in_the_same_way(parameters: dict[str, Any]) -> None:
    examples = examples_of(600)
    first, second = (cross_fit(parameters, examples, seed=3) for _ in range(2))
    assert np.array_equal(first.scores, second.scores)
    assert roc_auc(examples.labels, first.scores) > 0.9
    assert roc_auc(examples.labels, first.scores) == cross_validate(parameters, examples, seed=3)
    loaded = pickle.loads(pickle.dumps(first.model))
    unknown = as_values([{"n": None, "c": "never seen", "noise": 0.0}], examples.features)
    assert 0 < score(loaded, unknown)[0] < 1


def test_no_row_is_scored_by_a_model_that_saw_it() -> None:
    examples = examples_of(300)
    rng = np.random.default_rng(1)
    noise = Examples(**(vars(examples) | {"labels": rng.integers(0, 2, 300).astype(np.int64)}))
    fitted = cross_fit({"algorithm": "boosting", "max_iter": 100}, noise, seed=0)
    assert roc_auc(noise.labels, score(fitted.model, noise.values)) > 0.9  # it knows them by heart
    assert roc_auc(noise.labels, fitted.scores) < 0.6


def test_other_rows_of_the_same_entities_are_scored_without_them_too() -> None:
    examples = examples_of(300)
    fitted = cross_fit({"algorithm": "logistic", "C": 1.0}, examples, seed=0)
    only = Examples(**(vars(examples) | {"folds": np.full(300, 2, dtype=np.int64)}))
    assert np.array_equal(out_of_fold(fitted.fold_models, only), score(fitted.fold_models[2], examples.values))
    assert len(fitted.fold_models) == FOLDS


def test_the_area_under_the_curve_is_scikit_learns_with_ties_too() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 500), rng.integers(0, 20, 500) / 20
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
