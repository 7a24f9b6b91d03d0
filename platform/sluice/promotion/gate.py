"""The gate's record: which candidate was compared with which incumbent, on what, and the verdict.

The kernel keeps the record; whoever evaluates (`evals` for prompts, `classic_ml` for models) decides the verdict.
"""

import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import JSON, Engine, Index, String
from sqlmodel import Field, Session, SQLModel, col, select

from sluice import audit, lineage
from sluice.database import UtcDateTime
from sluice.promotion.candidate import Candidate, Kind


class Verdict(StrEnum):
    """What a gate says. Only `PASS` lets a candidate through."""

    PASS = "pass"  # noqa: S105, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    """The interval holds both: more cases are needed, not more luck."""


class GateResult(SQLModel, table=True):
    """One verdict on one candidate, of one suite or of several, their names joined by ` + `.

    `incumbent` is the version it was compared with, None where there was none. `report` holds what a person would want
    to see of it: each metric with base, head, difference, interval, margin. `data_hash` pins the cases or rows.
    """

    __tablename__: ClassVar[str] = "gate_result"  # pyright: ignore[reportIncompatibleVariableOverride]
    __table_args__ = (Index("ix_gate_result_candidate", "kind", "name", "version"),)

    id: str = Field(default_factory=lambda: f"gate-{secrets.token_hex(8)}", primary_key=True, sa_type=String)
    kind: Kind = Field(sa_type=String)
    name: str = Field(sa_type=String)
    version: str = Field(sa_type=String)
    incumbent: str | None = Field(default=None, sa_type=String)
    suite: str = Field(sa_type=String)
    verdict: Verdict = Field(sa_type=String)
    report: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    data_hash: str = Field(sa_type=String)
    author: str = Field(sa_type=String)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=UtcDateTime)

    @property
    def candidate(self) -> Candidate:
        """What was judged."""
        return Candidate(self.kind, self.name, self.version)

    @property
    def suites(self) -> list[str]:
        """What it was judged by."""
        return self.suite.split(" + ")


def record_gate(engine: Engine, result: GateResult) -> GateResult:
    """Keep a verdict, with its lineage and its audit entry, in one transaction.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine, expire_on_commit=False) as session:
        session.add(result)
        sources = [("candidate", result.candidate.id)]
        if result.incumbent is not None:
            sources.append(("incumbent", Candidate(result.kind, result.name, result.incumbent).id))
        attributes = {"suite": result.suite, "verdict": result.verdict, "data_hash": result.data_hash}
        lineage.record(session, f"gate:{result.id}", attributes, sources)
        detail = {"gate": result.id, "suite": result.suite, "verdict": result.verdict}
        audit.append(session, actor=result.author, action="gate.decided", subject=result.candidate.id, detail=detail)
        session.commit()
    return result


def latest_gate(session: Session, candidate: Candidate) -> GateResult | None:
    """The last verdict on a candidate."""
    return next(iter(gates_of(session, candidate)), None)


def gates_of(session: Session, candidate: Candidate) -> list[GateResult]:
    """All verdicts on a candidate, the last one first."""
    chosen = (
        select(GateResult)
        .where(
            GateResult.kind == candidate.kind,
            GateResult.name == candidate.name,
            GateResult.version == candidate.version,
        )
        .order_by(col(GateResult.at).desc())
    )
    return list(session.exec(chosen))
