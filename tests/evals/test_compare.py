"""What a comparison counts, and which metrics decide."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evals.calibration import Agreement
from evals.case import Score
from evals.compare import compare
from evals.run import Result, Run
from evals.suite import Suite
from sluice.errors import InvalidRequest
from sluice.promotion import Verdict
from tests.evals.builders import EXACT, make_suite

JUDGE = {"metric": "judge", "model": "judge", "rubric": "It is right."}


def run_of(suite: Suite, scores: Mapping[str, list[float | None]], subject: str = "prompt:a@1") -> Run:
    """A run with these scores by metric, in the order of the cases."""
    results = [
        Result(
            case,
            (),
            {
                label: Score(values[number], "" if values[number] is not None else "no verdict")
                for label, values in scores.items()
            },
        )
        for number, case in enumerate(suite.cases)
    ]
    return Run(suite.name, suite.data_hash, subject, tuple(results))


def exact(suite: Suite, before: list[float | None], after: list[float | None]) -> Any:
    label = suite.metrics[0].label
    return compare(run_of(suite, {label: before}), run_of(suite, {label: after}, "prompt:a@2"), suite)


def test_harm_fails_and_no_harm_passes(tmp_path: Path):
    suite = make_suite(tmp_path, 100)
    right: list[float | None] = [1.0] * 100
    assert exact(suite, right, [0.0] * 30 + [1.0] * 70).verdict == Verdict.FAIL
    assert exact(suite, right, right).verdict == Verdict.PASS
    assert exact(suite, [1.0] * 90 + [0.0] * 10, [1.0] * 95 + [0.0] * 5).verdict == Verdict.PASS


def test_a_small_suite_is_inconclusive_and_says_what_it_would_need(tmp_path: Path):
    found = exact(make_suite(tmp_path, 15), [1.0] * 15, [1.0] * 15)
    assert found.verdict == Verdict.INCONCLUSIVE
    assert "15 cases are too few to tell: a harmless change would need about 72" in found.metrics[0].note


def test_a_case_that_only_head_cannot_score_counts_as_its_failure(tmp_path: Path):
    found = exact(make_suite(tmp_path, 100), [1.0] * 100, [None] * 30 + [1.0] * 70)
    assert found.verdict == Verdict.FAIL
    assert found.metrics[0].unscored == (30, 0)
    assert found.metrics[0].head_mean == pytest.approx(0.7)
    assert found.metrics[0].interval.estimate == pytest.approx(-0.3)


def test_a_case_that_base_cannot_score_is_nothing_in_heads_favour(tmp_path: Path):
    before: list[float | None] = [None] * 5 + [1.0] * 95
    found = exact(make_suite(tmp_path, 100), before, [1.0] * 80 + [0.0] * 20)
    assert found.metrics[0].unscored == (0, 5)
    assert found.metrics[0].interval.n == 95
    assert found.verdict == Verdict.FAIL


def test_too_many_cases_without_a_score_do_not_pass(tmp_path: Path):
    suite = make_suite(tmp_path, 200)
    some: list[float | None] = [None] * 20 + [1.0] * 180
    many: list[float | None] = [None] * 21 + [1.0] * 179
    assert exact(suite, some, some).verdict == Verdict.PASS
    found = exact(suite, many, many)
    assert found.verdict == Verdict.INCONCLUSIVE
    assert "21 of 200 cases could not be scored" in found.metrics[0].note


def test_without_any_score_nothing_is_known(tmp_path: Path):
    found = exact(make_suite(tmp_path, 10), [None] * 10, [None] * 10)
    assert (found.verdict, found.metrics[0].interval) == (Verdict.INCONCLUSIVE, None)


@pytest.mark.parametrize(
    ("minimum", "verdict"),
    [(0.5, Verdict.PASS), (0.9, Verdict.INCONCLUSIVE), (0.99, Verdict.FAIL), (None, Verdict.INCONCLUSIVE)],
)
def test_without_an_incumbent_the_minimum_decides(tmp_path: Path, minimum: float | None, verdict: Verdict):
    suite = make_suite(tmp_path, 100, metrics=[EXACT | {"minimum": minimum}])
    head = run_of(suite, {"exact_match": [0.0] * 10 + [1.0] * 90})
    assert compare(None, head, suite).verdict == verdict


def test_a_metric_that_does_not_gate_is_shown_only(tmp_path: Path):
    suite = make_suite(tmp_path, 100, metrics=[EXACT, {"metric": "token_f1", "gate": False}])
    same, worse = [1.0] * 100, [0.0] * 100
    base = run_of(suite, {"exact_match": same, "token_f1": same})
    head = run_of(suite, {"exact_match": same, "token_f1": worse})
    found = compare(base, head, suite)
    assert found.verdict == Verdict.PASS
    assert [metric.verdict for metric in found.metrics] == [Verdict.PASS, Verdict.FAIL]


def test_all_that_gate_must_pass_and_one_that_fails_decides(tmp_path: Path):
    suite = make_suite(tmp_path, 100, metrics=[EXACT, {"metric": "token_f1"}])
    same, unclear, worse = [1.0] * 100, [0.0] * 4 + [1.0] * 96, [0.0] * 100
    base = run_of(suite, {"exact_match": same, "token_f1": same})
    verdicts = {
        name: compare(base, run_of(suite, {"exact_match": unclear, "token_f1": scores}), suite).verdict
        for name, scores in {"same": same, "worse": worse}.items()
    }
    assert verdicts == {"same": Verdict.INCONCLUSIVE, "worse": Verdict.FAIL}


@pytest.mark.parametrize(
    ("agreement", "gates", "note"),
    [
        (None, False, "was not measured"),
        (Agreement(0.5, 0.2, 0.7, 40, 0), False, "is 0.50 (from 0.20 to 0.70), expected 0.40 for certain"),
        (Agreement(0.8, 0.6, 0.9, 60, 0), True, ""),
    ],
)
def test_only_a_judge_whose_agreement_is_known_may_gate(
    tmp_path: Path, agreement: Agreement | None, gates: bool, note: str
):
    suite = make_suite(tmp_path, 100, metrics=[JUDGE])
    suite = replace(suite, agreements={} if agreement is None else {"judge": agreement})
    found = exact(suite, [1.0] * 100, [0.0] * 100)
    assert found.metrics[0].gates is gates
    assert note in found.metrics[0].note
    assert found.metrics[0].verdict == Verdict.FAIL
    assert found.verdict == (Verdict.FAIL if gates else Verdict.INCONCLUSIVE)


def test_runs_of_other_cases_are_refused(tmp_path: Path):
    suite, other = make_suite(tmp_path / "a", 10), make_suite(tmp_path / "b", 11)
    with pytest.raises(InvalidRequest, match="not of the cases"):
        compare(run_of(other, {"exact_match": [1.0] * 11}), run_of(suite, {"exact_match": [1.0] * 10}), suite)
