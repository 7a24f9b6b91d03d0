"""Token budgets: so many tokens over a window, for a scope."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from sqlalchemy import BigInteger, Engine, Index, String
from sqlmodel import Field, Session, SQLModel, col, select

from sluice.errors import InvalidRequest

Window = Literal["minute", "hour", "day", "month", "ever"]
"""Calendar windows in UTC; `ever` never ends."""
WINDOWS: tuple[Window, ...] = get_args(Window)
MOST_TOKENS = 2**53
"""What any JSON reader takes as a whole number."""


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount of tokens over a window. `id` is `<key id>/<window>`; `scope_id` is the key's id."""

    id: str
    scope_id: str
    tokens: int
    window: Window

    def __str__(self) -> str:
        return f"{self.tokens:,} tokens" + (" in all" if self.window == "ever" else f" per {self.window}")


class BudgetRow(SQLModel, table=True):
    """A budget's row. `scope` is `key` so far, and `scope_id` the key's id."""

    __tablename__: ClassVar[str] = "budget"  # pyright: ignore[reportIncompatibleVariableOverride]
    __table_args__ = (Index("ix_budget_scope", "scope", "scope_id"),)

    id: str = Field(primary_key=True, sa_type=String)
    scope: str = Field(sa_type=String)
    scope_id: str = Field(sa_type=String)
    tokens: int = Field(sa_type=BigInteger)
    window: Window = Field(sa_type=String)


def rows_of_key(key_id: str, budgets: Mapping[str, int]) -> list[BudgetRow]:
    """The rows of a new key's budgets, tokens by window.

    Raises:
        InvalidRequest: a window that there is none of, or an amount that is no budget.
    """
    rows: list[BudgetRow] = []
    for name, tokens in budgets.items():
        if name not in WINDOWS:
            raise InvalidRequest(
                f"'{name}' is no window of a budget.", fix=f"Take one of: {', '.join(WINDOWS)}.", param="per"
            )
        if not 0 < tokens <= MOST_TOKENS:
            raise InvalidRequest(
                f"A budget of {tokens} tokens is none.", fix=f"Take 1 to {MOST_TOKENS} tokens.", param="budget"
            )
        rows.append(BudgetRow(id=f"{key_id}/{name}", scope="key", scope_id=key_id, tokens=tokens, window=name))
    return rows


def by_key(rows: Iterable[BudgetRow]) -> dict[str, tuple[Budget, ...]]:
    """Budgets by the id of their key."""
    found: dict[str, tuple[Budget, ...]] = {}
    for row in rows:
        budget = Budget(row.id, row.scope_id, row.tokens, row.window)
        found[row.scope_id] = (*found.get(row.scope_id, ()), budget)
    return found


def list_budgets(engine: Engine) -> dict[str, tuple[Budget, ...]]:
    """The budgets of all keys that have any, by the key's id.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        chosen = select(BudgetRow).where(BudgetRow.scope == "key").order_by(col(BudgetRow.id))
        return by_key(session.exec(chosen))
