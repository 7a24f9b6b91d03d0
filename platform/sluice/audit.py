"""The audit log: who did what to what. Append-only, each entry chained to the one before it by hash.

An entry is written in the transaction of the change it tells of, so that neither can be there without the other.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
from sqlalchemy import JSON, BigInteger, Engine, String, update
from sqlmodel import Field, Session, SQLModel, col, select

from sluice.database import UtcDateTime

Detail = dict[str, Any]
"""What JSON can hold."""


class AuditEntry(SQLModel, table=True):
    """One entry; `hash` covers all other fields, `previous` among them."""

    __tablename__: ClassVar[str] = "audit_entry"  # pyright: ignore[reportIncompatibleVariableOverride]

    number: int = Field(primary_key=True, sa_type=BigInteger)
    at: datetime = Field(sa_type=UtcDateTime)
    actor: str = Field(sa_type=String)
    action: str = Field(sa_type=String)
    subject: str = Field(index=True, sa_type=String)
    detail: Detail = Field(sa_type=JSON)
    previous: str = Field(sa_type=String)
    hash: str = Field(sa_type=String)


class AuditHead(SQLModel, table=True):
    """One row: the newest entry's number and hash. Whoever appends holds it until the commit."""

    __tablename__: ClassVar[str] = "audit_head"  # pyright: ignore[reportIncompatibleVariableOverride]

    id: int = Field(default=1, primary_key=True)
    number: int = Field(sa_type=BigInteger)
    hash: str = Field(sa_type=String)


def append(session: Session, *, actor: str, action: str, subject: str, detail: Detail | None = None) -> AuditEntry:
    """Add an entry to the session's transaction; the caller commits.

    Args:
        actor: a key's owner, or the name of a part of the platform.
        action: `<thing>.<verb>`, such as `label.moved`.
        subject: the lineage id of what it was done to.
    """
    number = session.exec(
        update(AuditHead).values(number=col(AuditHead.number) + 1).returning(col(AuditHead.number))
    ).scalar_one()
    head = session.exec(select(AuditHead)).one()
    entry = AuditEntry(
        number=number,
        at=datetime.now(UTC),
        actor=actor,
        action=action,
        subject=subject,
        detail=detail or {},
        previous=head.hash,
        hash="",
    )
    entry.hash = head.hash = _hash(entry)
    session.add_all([entry, head])
    session.flush()
    return entry


def hold(session: Session) -> None:
    """Let nobody else append until this transaction ends: what is read after this stays true until the commit."""
    session.exec(update(AuditHead).values(number=AuditHead.number))


def entries(engine: Engine, subject: str | None = None) -> list[AuditEntry]:
    """The entries about one subject, or all, oldest first.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    chosen = select(AuditEntry).order_by(col(AuditEntry.number))
    if subject is not None:
        chosen = chosen.where(AuditEntry.subject == subject)
    with Session(engine) as session:
        return list(session.exec(chosen))


def broken_links(engine: Engine) -> Iterator[int]:
    """The numbers of entries that were changed or are missing at the end, or whose predecessor was changed or removed.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        newest = session.exec(select(AuditHead)).one()  # first: entries may be appended meanwhile
    previous, expected = "", 1
    for entry in entries(engine):
        linked = entry.previous == previous and entry.number == expected
        if not linked or entry.hash != _hash(entry) or (entry.number == newest.number and entry.hash != newest.hash):
            yield entry.number
        previous, expected = entry.hash, entry.number + 1
    if newest.number >= expected:
        yield expected


def _hash(entry: AuditEntry) -> str:
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    values = [entry.number, at, entry.actor, entry.action, entry.subject, entry.detail, entry.previous]
    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()
