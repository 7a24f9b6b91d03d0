"""Keeping a comparison's verdict where promotions look for it."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Engine
from sqlmodel import Session

from evals.compare import Comparison, worst
from sluice.errors import InvalidRequest
from sluice.promotion import Candidate, GateResult, latest_gate, record_gate


def gate(engine: Engine, comparison: Comparison, candidate: Candidate, author: str, note: str = "") -> GateResult:
    """Record the verdict on a candidate; the one that was recorded last is not recorded again.

    Args:
        comparison: `base` is the incumbent's id, such as `prompt:capital@3f2a…`, or None.
        author: who made the candidate, and so may not approve it.
        note: what a person should know before going by the verdict.

    Raises:
        InvalidRequest: base or head is not of the candidate's kind and name.
        StateUnavailable: the database cannot be used.
    """
    if comparison.head != candidate.id:
        raise InvalidRequest(f"The comparison is of '{comparison.head}', not of '{candidate.id}'.")
    incumbent = None if comparison.base is None else Candidate.parse(comparison.base)
    if incumbent is not None and (incumbent.kind, incumbent.name) != (candidate.kind, candidate.name):
        raise InvalidRequest(f"{candidate} was compared with something else: {incumbent}.")
    result = GateResult(
        kind=candidate.kind,
        name=candidate.name,
        version=candidate.version,
        incumbent=incumbent and incumbent.version,
        suite=comparison.suite,
        verdict=comparison.verdict,
        report=comparison.as_report() | ({"note": note} if note else {}),
        data_hash=comparison.data_hash,
        author=author,
    )
    with Session(engine) as session:
        last = latest_gate(session, candidate)
    # Only the last: after another verdict of the same suite an older equal one is not what promotions go by.
    return last if last is not None and _content(last) == _content(result) else record_gate(engine, result)


def combined(comparisons: Sequence[Comparison]) -> Comparison:
    """Several suites' comparisons of the same base and head as one, with the worst of their verdicts.

    Promotions go by the last verdict of each suite: one record says for all of them that they judged the same two.
    """
    if len(comparisons) == 1:
        return comparisons[0]
    return Comparison(
        suite=" + ".join(one.suite for one in comparisons),
        verdict=worst(one.verdict for one in comparisons),
        data_hash=" + ".join(one.data_hash for one in comparisons),
        base=comparisons[0].base,
        head=comparisons[0].head,
        cases=sum(one.cases for one in comparisons),
        metrics=tuple(
            replace(metric, label=f"{one.suite}: {metric.label}") for one in comparisons for metric in one.metrics
        ),
    )


def _content(result: GateResult) -> object:
    return result.model_dump(exclude={"id", "at"}, warnings=False)  # read back, a verdict is plain text
