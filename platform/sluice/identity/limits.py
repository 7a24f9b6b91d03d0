"""Limits: a rate, or a number at once, for a scope."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from sqlalchemy import BigInteger, Engine, String
from sqlmodel import Field, Session, SQLModel, col, select

from sluice import audit
from sluice.errors import InvalidRequest, NotFound
from sluice.identity.budgets import MOST
from sluice.identity.revisions import next_meters

What = Literal["requests", "tokens", "concurrent"]
WHATS: tuple[What, ...] = get_args(What)


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests or tokens a minute, or requests at once. `id` is `<scope>/<what>`; a scope has one of each."""

    id: str
    scope: str
    what: What
    amount: int

    def __str__(self) -> str:
        return (
            f"{self.amount:,} requests at once"
            if self.what == "concurrent"
            else f"{self.amount:,} {self.what} a minute"
        )


class LimitRow(SQLModel, table=True):
    """A limit's row."""

    __tablename__: ClassVar[str] = "rate_limit"  # pyright: ignore[reportIncompatibleVariableOverride]

    id: str = Field(primary_key=True, sa_type=String)
    scope: str = Field(index=True, sa_type=String)
    what: What = Field(sa_type=String)
    amount: int = Field(sa_type=BigInteger)

    @property
    def limit(self) -> Limit:
        """What the row says."""
        return Limit(self.id, self.scope, self.what, self.amount)


def set_limit(engine: Engine, scope: str, what: str, amount: int, *, by: str) -> Limit:
    """Give a scope a limit, in place of the one it has.

    Args:
        scope: of any kind; whoever calls knows that there is one.
        by: who does it, for the audit log.

    Raises:
        InvalidRequest: nothing that can be limited, or an amount that is no limit.
        StateUnavailable: the database cannot be used.
    """
    if what not in WHATS:
        raise InvalidRequest(f"'{what}' cannot be limited.", fix=f"Take one of: {', '.join(WHATS)}.", param="what")
    if not 0 < amount <= MOST:
        raise InvalidRequest(f"A limit of {amount} is none.", fix=f"Take 1 to {MOST}.", param="amount")
    row = LimitRow(id=f"{scope}/{what}", scope=scope, what=what, amount=amount)
    with Session(engine, expire_on_commit=False) as session:
        next_meters(session)
        old = session.get(LimitRow, row.id)
        detail = {"amount": amount, "before": old and old.amount}
        session.merge(row)
        audit.append(session, actor=by, action="limit.set", subject=row.id, detail=detail)
        session.commit()
    return row.limit


def remove_limit(engine: Engine, limit_id: str, *, by: str) -> None:
    """Take a limit away.

    Raises:
        NotFound: there is none of that id.
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        next_meters(session)
        row = session.get(LimitRow, limit_id)
        if row is None:
            raise NotFound(f"There is no limit '{limit_id[:100]}'.", fix="'sluice limits list' shows those there are.")
        session.delete(row)
        audit.append(session, actor=by, action="limit.removed", subject=limit_id, detail={"amount": row.amount})
        session.commit()


def read_limits(session: Session) -> dict[str, tuple[Limit, ...]]:
    """As `list_limits`."""
    found: dict[str, tuple[Limit, ...]] = {}
    for row in session.exec(select(LimitRow).order_by(col(LimitRow.id))):
        found[row.scope] = (*found.get(row.scope, ()), row.limit)
    return found


def list_limits(engine: Engine) -> dict[str, tuple[Limit, ...]]:
    """All limits, by their scope.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        return read_limits(session)
