"""A judge's agreement with people: measured, kept beside the labels, and void when judge or labels change."""

from pathlib import Path
from typing import Any

import pytest

from evals.calibration import calibrate, measure_agreement
from evals.case import Answer, Case, Score
from evals.metrics.judge import Judge
from evals.suite import load_suite
from sluice.errors import ConfigurationError
from tests.evals.builders import write_suite
from tests.evals.repository import as_lines

JUDGE: dict[str, Any] = {"metric": "judge", "model": "judge", "rubric": "It is right.", "labels": "labels.jsonl"}


def labelled(count: int) -> list[dict[str, Any]]:
    labels = ["pass", "fail"]
    return [
        {"id": f"l{number}", "variables": {}, "answer": labels[number % 2], "label": labels[number % 2]}
        for number in range(count)
    ]


def says_what_it_reads(case: Case, answer: Answer) -> Score:
    return Score(float(answer.text == "pass"))


def test_kappa_of_a_known_table():
    # Cohen 1960's measure on 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: 0.4.
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    found = measure_agreement([*pairs])
    assert found.kappa == pytest.approx(0.4)
    assert 0.1 < found.low < 0.4 < found.high < 0.65
    assert (found.cases, found.unscored) == (50, 0)


def test_few_cases_of_perfect_agreement_are_no_certainty():
    few = measure_agreement([(True, True)] * 3 + [(False, False)] * 3)
    many = measure_agreement([(True, True)] * 50 + [(False, False)] * 50)
    assert few.kappa == many.kappa == 1
    assert few.low < 0.5 < 0.9 < many.low


def test_a_judge_that_always_says_yes_agrees_by_chance_only():
    found = measure_agreement([(True, True)] * 50 + [(False, True)] * 50)
    assert found.kappa == 0
    assert found.low < 0.1


def test_a_judge_without_a_verdict_disagrees():
    found = measure_agreement([(True, None)] * 10 + [(False, None)] * 10)
    assert (found.kappa, found.unscored) == (-1, 20)


def test_an_agreement_is_kept_and_holds_for_exactly_this_judge_and_these_labels(tmp_path: Path):
    path = write_suite(tmp_path, metrics=[JUDGE])
    (tmp_path / "labels.jsonl").write_text(as_lines(labelled(40)))
    assert load_suite(str(path)).agreements == {}
    metric = load_suite(str(path)).metrics[0]
    assert isinstance(metric, Judge)
    agreement = calibrate(str(tmp_path / "labels.jsonl"), metric, says_what_it_reads)
    assert load_suite(str(path)).agreements == {"judge": agreement}

    other = JUDGE | {"margin": 0.2, "agreement": 0.6}
    assert load_suite(str(write_suite(tmp_path, metrics=[other]))).agreements == {"judge": agreement}
    for changed in ({"model": "another"}, {"rubric": "It is polite."}):
        assert load_suite(str(write_suite(tmp_path, metrics=[JUDGE | changed]))).agreements == {}
    (tmp_path / "labels.jsonl").write_text(as_lines(labelled(41)))
    assert load_suite(str(write_suite(tmp_path, metrics=[JUDGE]))).agreements == {}


def test_a_second_judge_leaves_the_first_ones_agreement(tmp_path: Path):
    labels = tmp_path / "labels.jsonl"
    labels.write_text(as_lines(labelled(10)))
    first = Judge.model_validate(JUDGE)
    calibrate(str(labels), first, says_what_it_reads)
    calibrate(str(labels), first.model_copy(update={"model": "another"}), says_what_it_reads)
    assert load_suite(str(write_suite(tmp_path, metrics=[JUDGE]))).agreements.keys() == {"judge"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "There are no labels"),
        ('{"id": "a", "variables": {}, "answer": "x", "label": "good"}', "line 1: Invalid enum value 'good'"),
    ],
)
def test_wrong_labels_are_named(tmp_path: Path, content: str, message: str):
    (tmp_path / "labels.jsonl").write_text(content)
    with pytest.raises(ConfigurationError) as raised:
        calibrate(str(tmp_path / "labels.jsonl"), Judge.model_validate(JUDGE), says_what_it_reads)
    assert message in str(raised.value)


def test_a_damaged_file_says_what_to_do(tmp_path: Path):
    path = write_suite(tmp_path, metrics=[JUDGE])
    (tmp_path / "labels.jsonl").write_text(as_lines(labelled(10)))
    (tmp_path / "labels.agreement.json").write_text("{")
    with pytest.raises(ConfigurationError, match="sluice eval calibrate"):
        load_suite(str(path))
