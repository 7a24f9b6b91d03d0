"""Budgets: an amount of tokens or of money over a window, for a scope."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from sqlalchemy import BigInteger, Engine, String
from sqlmodel import Field, Session, SQLModel, col, select

from sluice import audit
from sluice.errors import InvalidRequest, NotFound
from sluice.identity.money import NANO, show_money
from sluice.identity.revisions import next_meters

Window = Literal["minute", "hour", "day", "month", "ever"]
"""Calendar windows in UTC; `ever` never ends."""
WINDOWS: tuple[Window, ...] = get_args(Window)
Unit = Literal["tokens", "money"]
UNITS: tuple[Unit, ...] = get_args(Unit)
MOST = 2**53
"""What any JSON reader, and Redis, takes as a whole number."""


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount over a window: of tokens, or of billionths of the currency.

    Attributes:
        id: `<scope>/<unit>/<window>`; a scope has one of each.
        hard: nothing is let through beyond it; a soft one only warns.
    """

    id: str
    scope: str
    amount: int
    window: Window
    unit: Unit = "tokens"
    hard: bool = True

    def __str__(self) -> str:
        amount = f"{self.amount:,} tokens" if self.unit == "tokens" else f"{show_money(self.amount)} of money"
        return amount + (" in all" if self.window == "ever" else f" per {self.window}")


class BudgetRow(SQLModel, table=True):
    """A budget's row."""

    __tablename__: ClassVar[str] = "budget"  # pyright: ignore[reportIncompatibleVariableOverride]

    id: str = Field(primary_key=True, sa_type=String)
    scope: str = Field(index=True, sa_type=String)
    amount: int = Field(sa_type=BigInteger)
    window: Window = Field(sa_type=String)
    unit: Unit = Field(default="tokens", sa_type=String)
    hard: bool = True

    @property
    def budget(self) -> Budget:
        """What the row says."""
        return Budget(self.id, self.scope, self.amount, self.window, self.unit, self.hard)


def budget_row(scope: str, amount: int, window: str, unit: str = "tokens", *, hard: bool = True) -> BudgetRow:
    """The row of a budget.

    Raises:
        InvalidRequest: a window or unit that there is none of, or an amount that is no budget.
    """
    if window not in WINDOWS:
        raise InvalidRequest(
            f"'{window}' is no window of a budget.", fix=f"Take one of: {', '.join(WINDOWS)}.", param="per"
        )
    if unit not in UNITS:
        raise InvalidRequest(f"'{unit}' is no unit of a budget.", fix=f"Take one of: {', '.join(UNITS)}.", param="unit")
    if not 0 < amount <= MOST:
        what, most = (f"{amount} tokens", MOST) if unit == "tokens" else (f"{amount / NANO:g} of money", MOST // NANO)
        raise InvalidRequest(f"A budget of {what} is none.", fix=f"Take at most {most}, and not 0.", param="budget")
    return BudgetRow(id=f"{scope}/{unit}/{window}", scope=scope, amount=amount, window=window, unit=unit, hard=hard)


def set_budget(
    engine: Engine, scope: str, amount: int, window: str, unit: str = "tokens", *, hard: bool = True, by: str
) -> Budget:
    """Give a scope a budget, in place of the one it has for this unit and window.

    Args:
        scope: of any kind; whoever calls knows that there is one.
        amount: tokens, or billionths of the currency.
        by: who does it, for the audit log.

    Raises:
        InvalidRequest: as `budget_row`.
        StateUnavailable: the database cannot be used.
    """
    row = budget_row(scope, amount, window, unit, hard=hard)
    with Session(engine, expire_on_commit=False) as session:
        next_meters(session)
        old = session.get(BudgetRow, row.id)
        detail = {"amount": amount, "hard": hard, "before": old and old.amount}
        session.merge(row)
        audit.append(session, actor=by, action="budget.set", subject=row.id, detail=detail)
        session.commit()
    return row.budget


def remove_budget(engine: Engine, budget_id: str, *, by: str) -> None:
    """Take a budget away.

    Raises:
        NotFound: there is none of that id.
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        next_meters(session)
        row = session.get(BudgetRow, budget_id)
        if row is None:
            raise NotFound(
                f"There is no budget '{budget_id[:100]}'.", fix="'sluice budgets list' shows those there are."
            )
        session.delete(row)
        audit.append(session, actor=by, action="budget.removed", subject=budget_id, detail={"amount": row.amount})
        session.commit()


def read_budgets(session: Session) -> dict[str, tuple[Budget, ...]]:
    """As `list_budgets`."""
    found: dict[str, tuple[Budget, ...]] = {}
    for row in session.exec(select(BudgetRow).order_by(col(BudgetRow.id))):
        found[row.scope] = (*found.get(row.scope, ()), row.budget)
    return found


def list_budgets(engine: Engine) -> dict[str, tuple[Budget, ...]]:
    """All budgets, by their scope.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        return read_budgets(session)
