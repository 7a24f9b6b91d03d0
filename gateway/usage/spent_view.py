"""What of each budget is gone in its present window, for the terminal."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from gateway.metering.spent import charged_since
from gateway.metering.window import span
from sluice.cli.table import print_table
from sluice.identity import Budget, list_budgets
from sluice.identity.money import DIGITS, show_money


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget, what is gone of it in its unit, and when its window ends; None: never."""

    budget: Budget
    spent: int
    ends: datetime | None

    @property
    def left(self) -> int:
        """None of a soft budget that is exceeded."""
        return max(0, self.budget.amount - self.spent)

    def as_plain(self) -> dict[str, Any]:
        """As JSON, the same as `/admin/spent` has it."""

        def amount(of: int) -> int | str:
            return of if self.budget.unit == "tokens" else show_money(of, DIGITS)

        return {
            "id": self.budget.id,
            "scope": self.budget.scope,
            "unit": self.budget.unit,
            "window": self.budget.window,
            "hard": self.budget.hard,
            "amount": amount(self.budget.amount),
            "spent": amount(self.spent),
            "left": amount(self.left),
            "ends": self.ends and f"{self.ends:%Y-%m-%dT%H:%M:%SZ}",
        }


def budget_states(engine: Engine, scope: str | None, now: float) -> list[BudgetState]:
    """All budgets, or those of one scope, by their ids.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    found = [budget for of, budgets in list_budgets(engine).items() if scope in (None, of) for budget in budgets]
    return [_state(engine, budget, now) for budget in found]


def print_states(states: list[BudgetState]) -> None:
    """A row for each."""
    print_table(
        ("budget", "amount", "kind", "spent", "left", "begins anew"),
        [
            (
                state.budget.id,
                str(state.budget),
                "hard" if state.budget.hard else "soft",
                _shown(state.spent, state.budget),
                _shown(state.left, state.budget),
                f"{state.ends:%Y-%m-%d %H:%M UTC}" if state.ends else "never",
            )
            for state in states
        ],
    )


def _state(engine: Engine, budget: Budget, now: float) -> BudgetState:
    begins, ends = span(budget.window, now)
    bounded = budget.window != "ever"
    return BudgetState(
        budget, charged_since(engine, budget, begins), datetime.fromtimestamp(ends, UTC) if bounded else None
    )


def _shown(amount: int, budget: Budget) -> str:
    return f"{amount:,}" if budget.unit == "tokens" else show_money(amount)
