from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from sluice import audit, lineage
from sluice.errors import GateRefused, InvalidRequest, NotAllowed, NotFound
from sluice.promotion import (
    Candidate,
    GateResult,
    Label,
    Promotion,
    Verdict,
    approve,
    labelled,
    promote,
    record_gate,
)
from sluice.settings import PromotionSettings

SETTINGS = PromotionSettings()
PROMPT = Candidate("prompt", "answer", "a" * 40)
MODEL = Candidate("model", "churn", "3")


def judge(
    engine: Engine,
    candidate: Candidate,
    verdict: Verdict = Verdict.PASS,
    incumbent: str | None = None,
    suite: str = "s",
    author: str = "ada",
) -> GateResult:
    return record_gate(
        engine,
        GateResult(
            kind=candidate.kind,
            name=candidate.name,
            version=candidate.version,
            incumbent=incumbent,
            suite=suite,
            verdict=verdict,
            report={"n": 1},
            data_hash="d",
            author=author,
        ),
    )


def move(engine: Engine, candidate: Candidate, label: str = "production") -> Label:
    return promote(engine, candidate, label, by="ada", settings=SETTINGS)


def promotions(engine: Engine) -> list[Promotion]:
    with Session(engine) as session:
        return list(session.exec(select(Promotion)))


def test_a_passing_gate_lets_a_prompt_through_with_trace_and_audit_entry(engine: Engine) -> None:
    gate = judge(engine, PROMPT)
    assert move(engine, PROMPT).version == PROMPT.version
    [promotion] = promotions(engine)
    assert (promotion.gate_id, promotion.previous, promotion.by) == (gate.id, None, "ada")
    tree = lineage.trace(engine, f"promotion:{promotion.id}")
    assert [(role, source.id) for role, source in tree.sources] == [
        ("candidate", PROMPT.id),
        ("gate", f"gate:{gate.id}"),
    ]
    assert [entry.action for entry in audit.entries(engine, PROMPT.id)] == ["gate.decided", "label.moved"]


@pytest.mark.parametrize("verdict", [None, Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_without_a_pass_nothing_moves(engine: Engine, verdict: Verdict | None) -> None:
    if verdict:
        judge(engine, PROMPT, verdict)
    with pytest.raises(GateRefused):
        move(engine, PROMPT)
    assert labelled(engine, "prompt", "answer", "production") is None
    assert promotions(engine) == []


def test_the_last_verdict_counts(engine: Engine) -> None:
    judge(engine, PROMPT)
    judge(engine, PROMPT, Verdict.FAIL)
    with pytest.raises(GateRefused, match=r"'fail' .*\. Mend what it found\.$"):
        move(engine, PROMPT)
    judge(engine, PROMPT, Verdict.INCONCLUSIVE)
    with pytest.raises(GateRefused, match=r"'inconclusive' .*\. Give it more cases or rows\.$"):
        move(engine, PROMPT)


def test_an_easy_suite_does_not_make_good_what_another_found(engine: Engine) -> None:
    judge(engine, PROMPT, Verdict.FAIL, suite="hard + fair")
    judge(engine, PROMPT, suite="easy")
    with pytest.raises(GateRefused, match="'hard \\+ fair'"):
        move(engine, PROMPT)
    judge(engine, PROMPT, suite="hard")
    with pytest.raises(GateRefused, match="'hard \\+ fair'"):
        move(engine, PROMPT)
    judge(engine, PROMPT, suite="fair + more")
    assert move(engine, PROMPT).version == PROMPT.version


def test_each_suites_verdict_must_be_against_what_is_in_use(engine: Engine) -> None:
    judge(engine, PROMPT, suite="hard")
    judge(engine, PROMPT, incumbent="b" * 40, suite="easy")
    with pytest.raises(GateRefused, match="was compared with"):
        move(engine, PROMPT)


def test_a_suite_can_be_asked_for(engine: Engine) -> None:
    settings = PromotionSettings(suites={"prompt:answer": ("hard",)})
    judge(engine, PROMPT, suite="easy")
    with pytest.raises(GateRefused, match="not judged by the suite 'hard'"):
        promote(engine, PROMPT, "production", by="ada", settings=settings)
    judge(engine, PROMPT, suite="easy + hard")
    assert promote(engine, PROMPT, "production", by="ada", settings=settings).version == PROMPT.version


def test_a_verdict_against_another_incumbent_does_not_count(engine: Engine) -> None:
    first, second = PROMPT, Candidate("prompt", "answer", "b" * 40)
    judge(engine, first)
    judge(engine, second)
    move(engine, first)
    with pytest.raises(GateRefused, match="Run its evaluation again"):
        move(engine, second)
    judge(engine, second, incumbent=first.version)
    assert move(engine, second).version == second.version
    assert {promotion.previous for promotion in promotions(engine)} == {None, first.version}


def test_a_verdict_on_one_version_says_nothing_of_another(engine: Engine) -> None:
    judge(engine, PROMPT)
    with pytest.raises(GateRefused, match="No gate"):
        move(engine, Candidate("prompt", "answer", "c" * 40))


def test_a_label_that_nothing_guards_moves_freely(engine: Engine) -> None:
    assert move(engine, PROMPT, "draft").version == PROMPT.version


def test_moving_to_where_it_is_changes_nothing(engine: Engine) -> None:
    judge(engine, PROMPT)
    move(engine, PROMPT)
    move(engine, PROMPT)
    assert len(promotions(engine)) == 1


def test_a_model_needs_the_yes_of_somebody_else(engine: Engine) -> None:
    with pytest.raises(NotFound):
        approve(engine, MODEL, by="bob")
    judge(engine, MODEL)
    with pytest.raises(GateRefused, match="approved"):
        move(engine, MODEL)
    with pytest.raises(NotAllowed):
        approve(engine, MODEL, by="ada")
    approve(engine, MODEL, by="bob", note="looks right")
    approve(engine, MODEL, by="bob")
    move(engine, MODEL)
    [promotion] = promotions(engine)
    assert promotion.approved_by == ["bob"]
    assert [entry.action for entry in audit.entries(engine, MODEL.id)] == [
        "gate.decided",
        "candidate.approved",
        "label.moved",
    ]


def test_an_authors_yes_does_not_count_whoever_ran_a_gate_last(engine: Engine) -> None:
    judge(engine, MODEL, author="ada")
    judge(engine, MODEL, author="bob")
    for author in ("ada", "Ada", "bob"):
        with pytest.raises(NotAllowed):
            approve(engine, MODEL, by=author)
    approve(engine, MODEL, by="eve")
    judge(engine, MODEL, author="eve")
    with pytest.raises(GateRefused, match="approved"):
        move(engine, MODEL)


def test_a_label_may_need_a_persons_yes_and_no_gate(engine: Engine) -> None:
    settings = PromotionSettings(guarded=(), approved=("model:staging",))
    judge(engine, MODEL, Verdict.INCONCLUSIVE)
    with pytest.raises(GateRefused, match="approved"):
        promote(engine, MODEL, "staging", by="ada", settings=settings)
    approve(engine, MODEL, by="bob")
    assert promote(engine, MODEL, "staging", by="ada", settings=settings).version == "3"


def test_two_promotions_at_once_leave_one_truth(engine: Engine) -> None:
    candidates = [Candidate("prompt", "answer", digit * 40) for digit in "0123456789"]
    for candidate in candidates:
        judge(engine, candidate)

    def attempt(candidate: Candidate) -> bool:
        try:
            move(engine, candidate)
        except GateRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, candidates)) == 1
    now = labelled(engine, "prompt", "answer", "production")
    [promotion] = promotions(engine)
    assert now
    assert (now.version, now.promotion_id) == (promotion.version, promotion.id)
    assert list(audit.broken_links(engine)) == []


def test_an_id_is_read_as_it_is_written() -> None:
    assert Candidate.parse(MODEL.id) == MODEL
    assert Candidate.parse("index:docs/eu@sha256:ab") == Candidate("index", "docs/eu", "sha256:ab")


@pytest.mark.parametrize("text", ["", "model:churn", "thing:churn@3", "model:@3", "model:churn@", "model:a b@3"])
def test_what_is_no_candidate_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Candidate.parse(text)
