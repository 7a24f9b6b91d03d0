"""A model's gate: better than, or certainly not much worse than, what is in production, on rows that neither has seen."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlmodel import Session

from classic_ml.features import load_training_set
from classic_ml.registry.promotion import PRODUCTION
from classic_ml.registry.versions import find_version
from classic_ml.settings import GateSettings
from classic_ml.training.cross_fit import Scores, out_of_fold, roc_auc
from classic_ml.training.examples import Examples, as_examples
from evals.statistics import bootstrap_difference, judge_difference
from sluice.home import Home
from sluice.promotion import GateResult, Verdict, labelled, record_gate
from sluice.promotion.gate import gates_of

SUITE = "model/out-of-fold"
CONFIDENCE = 0.95
BINS = 10


def gate_model(home: Home, engine: Engine, model: str, version: str, settings: GateSettings) -> GateResult:
    """Judge a version on its training set, each row scored by a model that never saw its entity.

    With a version in production: the interval of the difference of the two ROC AUCs, paired by row, all rows of an entity
    drawn together, against the margin.
    Without: the ROC AUC against the minimum. In both cases its scores must be calibrated. Repeated with nothing changed,
    the verdict that is there is returned.

    Raises:
        NotFound: there is no such version, or its training set is gone.
        StateUnavailable: the database cannot be used.
    """
    head = find_version(engine, model, version)
    label = labelled(engine, "model", model, PRODUCTION)
    with Session(engine) as session:
        # Other suites may have judged it since.
        known = next((gate for gate in gates_of(session, head.candidate) if gate.suite == SUITE), None)
    if known and label and label.version == version:
        return known  # it was let through
    incumbent = label and label.version
    limits = settings.model_dump()
    if known and (known.incumbent, known.data_hash, known.report["limits"]) == (incumbent, head.training_set, limits):
        return known
    training_set = load_training_set(home, head.training_set)
    rows = training_set.read()
    examples = as_examples(rows, training_set.entity, head.features, training_set.label)
    scores = out_of_fold(head.load_fold_models(home), examples)
    if incumbent is None:
        verdict, report = _judge_alone(examples, scores, settings)
    else:
        base = find_version(engine, model, incumbent)
        its_examples = as_examples(rows, training_set.entity, base.features, training_set.label)
        base_scores = out_of_fold(base.load_fold_models(home), its_examples)
        verdict, report = _compare(examples, base_scores, scores, settings)
    error = calibration_error(examples.labels, scores)
    report["calibration"] = {"head": error, "limit": settings.calibration_error}
    if error > settings.calibration_error:
        verdict = Verdict.FAIL
    return record_gate(
        engine,
        GateResult(
            kind="model",
            name=model,
            version=version,
            incumbent=incumbent,
            suite=SUITE,
            verdict=verdict,
            report=report | {"limits": limits, "rows": len(scores)},
            data_hash=head.training_set,
            author=head.author,
        ),
    )


def calibration_error(labels: NDArray[np.int64], scores: Scores) -> float:
    """The mean difference between predicted and observed shares, over bins of equally many rows."""
    order = np.argsort(scores, kind="stable")
    bins = [rows for rows in np.array_split(order, BINS) if len(rows)]
    gaps = [abs(scores[rows].mean() - labels[rows].mean()) * len(rows) for rows in bins]
    return float(sum(gaps) / len(scores))


def _judge_alone(examples: Examples, scores: Scores, settings: GateSettings) -> tuple[Verdict, dict[str, Any]]:
    """Against the minimum: scores that are all alike have a ROC AUC of one half in every resample."""
    above = bootstrap_difference(
        roc_auc, np.zeros(len(scores)), scores, examples.labels, CONFIDENCE, groups=examples.entities
    )
    low, high = above.low + 0.5, above.high + 0.5
    verdict = Verdict.INCONCLUSIVE
    if low >= settings.minimum_auc:
        verdict = Verdict.PASS
    elif high < settings.minimum_auc:
        verdict = Verdict.FAIL
    return verdict, {"roc_auc": {"head": above.estimate + 0.5, "interval": [low, high], "limit": settings.minimum_auc}}


def _compare(
    examples: Examples, base_scores: Scores, scores: Scores, settings: GateSettings
) -> tuple[Verdict, dict[str, Any]]:
    interval = bootstrap_difference(roc_auc, base_scores, scores, examples.labels, CONFIDENCE, groups=examples.entities)
    metric = {
        "base": roc_auc(examples.labels, base_scores),
        "head": roc_auc(examples.labels, scores),
        "difference": interval.estimate,
        "interval": [interval.low, interval.high],
        "margin": settings.margin,
    }
    return judge_difference(interval, settings.margin), {"roc_auc": metric}
