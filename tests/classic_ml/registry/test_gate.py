"""The gate's verdicts, and that it judges nothing twice."""

import numpy as np
import pytest
from sqlmodel import Session, select

from classic_ml.registry import gate_model, promote_model
from classic_ml.registry.gate import calibration_error
from classic_ml.settings import GateSettings
from sluice.promotion import GateResult, Verdict, approve, record_gate
from sluice.settings import PromotionSettings
from tests.classic_ml.trained import GOOD, SIMILAR, USELESS, Trained

LENIENT = GateSettings(margin=0.1, minimum_auc=0.6, calibration_error=0.2)


def judge(trained: Trained, version: str, settings: GateSettings = LENIENT) -> GateResult:
    return gate_model(trained.home, trained.engine, "churn", version, settings)


def put_into_production(trained: Trained, version: str) -> None:
    candidate = judge(trained, version).candidate
    approve(trained.engine, candidate, by="bea")
    promote_model(trained.home, trained.engine, "churn", version, by="bea", settings=PromotionSettings())


def test_without_an_incumbent_the_minimum_decides(trained: Trained) -> None:
    good = judge(trained, GOOD)
    assert (good.verdict, good.incumbent) == (Verdict.PASS, None)
    low, high = good.report["roc_auc"]["interval"]
    assert low < good.report["roc_auc"]["head"] < high
    assert judge(trained, USELESS).verdict == Verdict.FAIL
    between = LENIENT.model_copy(update={"minimum_auc": good.report["roc_auc"]["head"]})
    assert judge(trained, GOOD, between).verdict == Verdict.INCONCLUSIVE


def test_with_one_the_difference_decides(trained: Trained) -> None:
    put_into_production(trained, GOOD)
    similar = judge(trained, SIMILAR)
    assert (similar.verdict, similar.incumbent) == (Verdict.PASS, GOOD)
    assert judge(trained, USELESS).verdict == Verdict.FAIL
    assert judge(trained, USELESS).report["roc_auc"]["difference"] < -0.1


def test_a_candidate_whose_scores_are_no_probabilities_fails(trained: Trained) -> None:
    strict = LENIENT.model_copy(update={"calibration_error": 0.001})
    assert judge(trained, GOOD, strict).verdict == Verdict.FAIL


def test_nothing_is_judged_twice_but_again_when_something_changed(trained: Trained) -> None:
    first = judge(trained, SIMILAR)
    assert judge(trained, SIMILAR).id == first.id
    put_into_production(trained, GOOD)
    against = judge(trained, SIMILAR)
    assert against.id != first.id
    assert judge(trained, SIMILAR).id == against.id
    assert judge(trained, GOOD).incumbent is None  # what is in production keeps the verdict that let it in
    with Session(trained.engine) as session:
        assert len(session.exec(select(GateResult)).all()) == 3


def test_another_suites_verdict_is_none_of_this_one(trained: Trained) -> None:
    first = judge(trained, GOOD)
    again = {"kind": "model", "name": "churn", "version": GOOD, "data_hash": first.data_hash, "author": first.author}
    record_gate(trained.engine, GateResult(**again, suite="model/fairness", verdict=Verdict.FAIL))
    assert judge(trained, GOOD).id == first.id


def test_calibration_error() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=20_000)
    labels = (rng.uniform(size=20_000) < scores).astype(np.int64)
    assert calibration_error(labels, scores) < 0.02
    assert calibration_error(labels, scores / 2) == pytest.approx(0.25, abs=0.02)
