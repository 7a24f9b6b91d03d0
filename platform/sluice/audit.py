"""The audit log: who did what to what. Append-only, each entry chained to the one before it by hash.

An entry is written in the transaction of the change it tells of, so that neither can be there without the other. The
database refuses to change or remove one (migration 5); whoever owns the database can take that away, and the chain shows it.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

import msgspec
from sqlalchemy import JSON, BigInteger, Engine, String, true, update
from sqlmodel import Field, Session, SQLModel, col, select

from sluice.database import UtcDateTime
from sluice.errors import InvalidRequest

Detail = dict[str, Any]
"""What JSON can hold."""
BATCH = 500
"""Entries in memory while the chain is checked."""


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


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry at some moment: its number and its hash, which covers all before it. 0 and nothing: no entry yet."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """A head that was printed once.

        Raises:
            InvalidRequest: it is none.
        """
        found = _HEAD.fullmatch(text)
        if found is None:
            raise InvalidRequest(
                f"'{text[:100]}' is no head of the audit log.",
                fix="Expected <number>:<hash>, as 'sluice audit verify' prints it.",
                param="head",
            )
        return cls(int(found[1]), found[2])


_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


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


def head(engine: Engine) -> Head:
    """The newest entry's number and hash, to be kept outside of the database; as of an empty log where they were removed.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        row = session.exec(select(AuditHead)).first()
        return Head(0, "") if row is None else Head(row.number, row.hash)


def broken_links(engine: Engine, pinned: Head | None = None) -> Iterator[int]:
    """The numbers of entries that were changed, or whose predecessor was changed, removed or put elsewhere; and the number
    of the first that is missing at the end, or that cannot be read (within `BATCH`).

    Args:
        pinned: a head that the log had once. Its entry must still be there, so a log that was cut off or written anew,
            with a head to match, is found too.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    # One statement, so that the head is the one that these entries had, however many are appended meanwhile. A batch of
    # them is in memory at a time.
    together = (
        select(AuditHead, AuditEntry)
        .outerjoin(AuditEntry, true())
        .order_by(col(AuditEntry.number))
        .execution_options(yield_per=BATCH)
    )
    previous, expected, last = "", 1, 1  # a log without its head has lost its first entry at least
    with Session(engine) as session:
        try:
            for newest, entry in cast("Iterator[tuple[AuditHead, AuditEntry | None]]", session.exec(together)):
                last = newest.number
                if entry is None:
                    break
                linked = entry.previous == previous and entry.number == expected and entry.hash == _hash(entry)
                within = entry.number < last or (entry.number == last and entry.hash == newest.hash)
                as_pinned = pinned is None or entry.number != pinned.number or entry.hash == pinned.hash
                if not (linked and within and as_pinned):
                    yield entry.number
                previous, expected = entry.hash, entry.number + 1
        except (ValueError, TypeError, OverflowError, RecursionError):  # it holds what is no time, or no JSON of ours
            last = expected
    if max(last, pinned.number if pinned else 0) >= expected:
        yield expected


def _hash(entry: AuditEntry) -> str:
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    values = [entry.number, at, entry.actor, entry.action, entry.subject, entry.detail, entry.previous]
    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()
