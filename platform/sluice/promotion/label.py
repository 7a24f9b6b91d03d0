"""Labels, and the promotion that moves one."""

import secrets
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, Engine, Index, String
from sqlmodel import Field, Session, SQLModel

from sluice import audit, lineage
from sluice.database import UtcDateTime
from sluice.errors import GateRefused
from sluice.promotion.approval import approvers
from sluice.promotion.candidate import Candidate, Kind
from sluice.promotion.gate import GateResult, Verdict, gates_of
from sluice.settings import PromotionSettings


class Label(SQLModel, table=True):
    """A moving name for a version, such as `production`, and the promotion that set it."""

    __tablename__: ClassVar[str] = "label"  # pyright: ignore[reportIncompatibleVariableOverride]

    kind: Kind = Field(primary_key=True, sa_type=String)
    name: str = Field(primary_key=True, sa_type=String)
    label: str = Field(primary_key=True, sa_type=String)
    version: str = Field(sa_type=String)
    promotion_id: str = Field(sa_type=String)


class Promotion(SQLModel, table=True):
    """One move of one label."""

    __tablename__: ClassVar[str] = "promotion"  # pyright: ignore[reportIncompatibleVariableOverride]
    __table_args__ = (Index("ix_promotion_label", "kind", "name", "label"),)

    id: str = Field(default_factory=lambda: f"promotion-{secrets.token_hex(8)}", primary_key=True, sa_type=String)
    kind: Kind = Field(sa_type=String)
    name: str = Field(sa_type=String)
    label: str = Field(sa_type=String)
    version: str = Field(sa_type=String)
    previous: str | None = Field(sa_type=String)
    gate_id: str | None = Field(sa_type=String)
    approved_by: list[str] = Field(default_factory=list, sa_type=JSON)
    by: str = Field(sa_type=String)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=UtcDateTime)


def labelled(engine: Engine, kind: Kind, name: str, label: str) -> Label | None:
    """Where a label points now.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        return session.get(Label, (kind, name, label))


def promote(engine: Engine, candidate: Candidate, label: str, *, by: str, settings: PromotionSettings) -> Label:
    """Move a label to a candidate: label, promotion, lineage and audit entry in one transaction.

    A label that is there already stays as it is. A guarded label (`settings.guarded`) moves only if each suite's last
    verdict about exactly this candidate is a pass, and was reached against the version that the label has now; so an
    easy suite does not make good what another one found. Those of `settings.suites` must be among them. Where
    `settings.approved` says so, another person than the author must have approved it too.

    Raises:
        GateRefused: one of these is missing; it says which.
        StateUnavailable: the database cannot be used.
    """
    with Session(engine, expire_on_commit=False) as session:
        audit.hold(session)  # two promotions at once come one after the other, on PostgreSQL too
        now = session.get(Label, (candidate.kind, candidate.name, label))
        if now is not None and now.version == candidate.version:
            return now
        previous = None if now is None else now.version
        gates = gates_of(session, candidate)
        approved_by = approvers(session, candidate)
        if label in settings.guarded:
            _check_gates(candidate, gates, previous, settings.suites.get(f"{candidate.kind}:{candidate.name}", ()))
        if f"{candidate.kind}:{label}" in settings.approved and not approved_by:
            raise GateRefused(
                f"Nobody has approved {candidate} for '{label}'.", fix="Have another person than its author approve it."
            )
        promotion = Promotion(
            kind=candidate.kind,
            name=candidate.name,
            label=label,
            version=candidate.version,
            previous=previous,
            gate_id=gates[0].id if gates else None,
            approved_by=approved_by,
            by=by,
        )
        moved = now or Label(
            kind=candidate.kind, name=candidate.name, label=label, version="", promotion_id=promotion.id
        )
        moved.version, moved.promotion_id = candidate.version, promotion.id
        session.add_all([promotion, moved])
        _leave_traces(session, candidate, promotion)
        session.commit()
        return moved


def _check_gates(
    candidate: Candidate, gates: list[GateResult], incumbent: str | None, required: tuple[str, ...]
) -> None:
    if not gates:
        raise GateRefused(
            f"No gate has judged {candidate}.",
            fix="Have it judged first: a prompt by 'sluice eval', a model by 'sluice ml gate'.",
        )
    last = {suite: gate for gate in reversed(gates) for suite in gate.suites}
    if missing := [suite for suite in required if suite not in last]:
        raise GateRefused(f"{candidate} was not judged by the suite '{missing[0]}'.", fix="Run that suite.")
    for gate in {gate.id: gate for gate in last.values()}.values():
        _check_gate(candidate, gate, incumbent)


def _check_gate(candidate: Candidate, gate: GateResult, incumbent: str | None) -> None:
    if gate.verdict != Verdict.PASS:
        raise GateRefused(
            f"The gate's verdict on {candidate} is '{gate.verdict}' ('{gate.suite}', {gate.id}).",
            fix="Mend what it found." if gate.verdict == Verdict.FAIL else "Give it more cases or rows.",
        )
    if gate.incumbent != incumbent:
        raise GateRefused(
            f"{candidate} was compared with {gate.incumbent and gate.incumbent[:12]}, "
            f"but in use is {incumbent and incumbent[:12]} now.",
            fix="Run its evaluation again.",
        )


def _leave_traces(session: Session, candidate: Candidate, promotion: Promotion) -> None:
    detail: dict[str, Any] = {
        "promotion": promotion.id,
        "label": promotion.label,
        "previous": promotion.previous,
        "gate": promotion.gate_id,
        "approved_by": promotion.approved_by,
    }
    sources = [("candidate", candidate.id)]
    if promotion.gate_id is not None:
        sources.append(("gate", f"gate:{promotion.gate_id}"))
    lineage.record(session, f"promotion:{promotion.id}", {**detail, "by": promotion.by}, sources)
    audit.append(session, actor=promotion.by, action="label.moved", subject=candidate.id, detail=detail)
