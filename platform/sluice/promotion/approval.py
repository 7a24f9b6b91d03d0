"""A person's yes, by another person than the candidate's author."""

from datetime import UTC, datetime
from typing import ClassVar

from sqlalchemy import Engine, String
from sqlmodel import Field, Session, SQLModel, select

from sluice import audit
from sluice.database import UtcDateTime
from sluice.errors import NotAllowed, NotFound
from sluice.promotion.candidate import Candidate, Kind
from sluice.promotion.gate import GateResult, gates_of


class Approval(SQLModel, table=True):
    """One person's yes to one candidate."""

    __tablename__: ClassVar[str] = "approval"  # pyright: ignore[reportIncompatibleVariableOverride]

    kind: Kind = Field(primary_key=True, sa_type=String)
    name: str = Field(primary_key=True, sa_type=String)
    version: str = Field(primary_key=True, sa_type=String)
    by: str = Field(primary_key=True, sa_type=String)
    note: str = Field(default="", sa_type=String)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=UtcDateTime)


def approve(engine: Engine, candidate: Candidate, *, by: str, note: str = "") -> Approval:
    """Approve a candidate that has been through its gate; a second yes of the same person changes nothing.

    Raises:
        NotFound: no gate has judged this candidate, so there is nothing to approve yet.
        NotAllowed: `by` is the candidate's author, as one of its gates knows.
        StateUnavailable: the database cannot be used.
    """
    with Session(engine, expire_on_commit=False) as session:
        gates = gates_of(session, candidate)
        if not gates:
            raise NotFound(f"No gate has judged {candidate}.", fix="Run its gate first.")
        if by.casefold() in _authors(gates):
            raise NotAllowed(f"{by} is the author of {candidate}.", fix="Have another person approve it.")
        key = (candidate.kind, candidate.name, candidate.version, by)
        if (known := session.get(Approval, key)) is not None:
            return known
        approval = Approval(kind=candidate.kind, name=candidate.name, version=candidate.version, by=by, note=note)
        session.add(approval)
        audit.append(
            session,
            actor=by,
            action="candidate.approved",
            subject=candidate.id,
            detail={"gate": gates[0].id, "note": note},
        )
        session.commit()
        return approval


def approvers(session: Session, candidate: Candidate) -> list[str]:
    """Who has approved a candidate, but for those whom a later gate names as its author."""
    chosen = select(Approval.by).where(
        Approval.kind == candidate.kind, Approval.name == candidate.name, Approval.version == candidate.version
    )
    authors = _authors(gates_of(session, candidate))
    return sorted(by for by in session.exec(chosen) if by.casefold() not in authors)


def _authors(gates: list[GateResult]) -> set[str]:
    return {gate.author.casefold() for gate in gates}
