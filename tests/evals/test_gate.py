"""A comparison becomes a gate's record once, and promotions find it."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from evals.compare import Comparison
from evals.gate import combined, gate
from sluice.errors import InvalidRequest
from sluice.promotion import Candidate, GateResult, Verdict, promote
from sluice.settings import PromotionSettings

CANDIDATE = Candidate("prompt", "capital", "b" * 40)


def comparison(**changes: Any) -> Comparison:
    base = f"prompt:capital@{'a' * 40}"
    return replace(Comparison("capital", Verdict.PASS, "d1", base, CANDIDATE.id, 100, ()), **changes)


def recorded(engine: Engine) -> list[GateResult]:
    with Session(engine) as session:
        return list(session.exec(select(GateResult)))


def test_the_same_comparison_is_recorded_once(engine: Engine):
    first = gate(engine, comparison(), CANDIDATE, "ada")
    assert gate(engine, comparison(), CANDIDATE, "ada").id == first.id
    assert (first.incumbent, first.verdict, first.data_hash) == ("a" * 40, Verdict.PASS, "d1")
    assert gate(engine, comparison(data_hash="d2"), CANDIDATE, "ada").id != first.id
    assert len(recorded(engine)) == 2


def test_what_a_person_should_know_stands_in_the_record_and_is_another_record(engine: Engine):
    plain = gate(engine, comparison(), CANDIDATE, "ada")
    told = gate(engine, comparison(), CANDIDATE, "ada", "the pull request removes a suite")
    assert "note" not in plain.report
    assert told.report["note"] == "the pull request removes a suite"
    assert told.id != plain.id


def test_a_pass_after_a_fail_is_recorded_though_an_equal_one_stands_before_it(engine: Engine):
    gate(engine, comparison(), CANDIDATE, "ada")
    gate(engine, comparison(verdict=Verdict.FAIL), CANDIDATE, "ada")
    gate(engine, comparison(), CANDIDATE, "ada")
    assert [one.verdict for one in sorted(recorded(engine), key=lambda one: one.at)] == ["pass", "fail", "pass"]


def test_a_first_version_that_passes_may_be_promoted(engine: Engine):
    gate(engine, comparison(base=None), CANDIDATE, "ada")
    label = promote(engine, CANDIDATE, "production", by="ada", settings=PromotionSettings())
    assert label.version == CANDIDATE.version


def test_what_was_not_compared_cannot_be_recorded(engine: Engine):
    with pytest.raises(InvalidRequest, match="not of 'prompt:capital"):
        gate(engine, comparison(head="prompt:capital@c"), CANDIDATE, "ada")
    with pytest.raises(InvalidRequest, match="compared with something else"):
        gate(engine, comparison(base="prompt:other@c"), CANDIDATE, "ada")


def test_several_suites_are_one_record_with_the_worst_verdict():
    fail = comparison(suite="tone", verdict=Verdict.FAIL, data_hash="d2")
    both = combined([comparison(), fail])
    assert (both.suite, both.verdict, both.cases) == ("capital + tone", Verdict.FAIL, 200)
    assert combined([comparison(), comparison(verdict=Verdict.INCONCLUSIVE)]).verdict == Verdict.INCONCLUSIVE
    assert combined([fail]) is fail
