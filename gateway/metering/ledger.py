"""What budgets and limits have spent, and what calls under way hold of them.

A call takes what it may come to from all of its budgets and limits or from none, before it is made; afterwards its true
count is booked and the rest given back. So what is spent and what is held never exceed a hard budget together, however
many calls there are at once, in however many processes. Two implementations, one test suite: in memory, for the one
worker of a small deployment, and in Redis.
"""

from collections.abc import Callable
from typing import Protocol

from gateway.metering.lease import Ask, Lease
from gateway.metering.plan import Plan
from sluice.identity import Budget


class Ledger(Protocol):
    """Belongs to one event loop. `clock` says which window it is."""

    clock: Callable[[], float]

    async def lease(self, plan: Plan, ask: Ask) -> Lease:
        """Hold what a call may come to, the whole or as much as fits.

        A limit never shortens an answer that waiting would let through whole; a budget does. A soft budget is counted
        and shortens nothing.

        Raises:
            BudgetExhausted, RateLimited: nothing fits, or not now.
            NeedsCount: the whole does not fit by the upper bound of its prompt; nothing is held.
            Unopened: what was spent of some budgets in their present windows has to be told first, by `open`.
            StateUnavailable: the ledger is lost, and the plan is hard.
        """
        ...

    async def open(self, budget: Budget, spent: int, ends: float) -> None:
        """Begin to count the present window of a budget, unless somebody has begun already.

        Args:
            spent: what is gone already, in the budget's unit.
            ends: when the window ends, in seconds since 1970.
        """
        ...

    async def used(self, budget: Budget) -> tuple[int, int] | None:
        """What is spent and what is held in the present window; None where it is not open."""
        ...

    async def close(self) -> None:
        """Settle what is on its way, and end."""
        ...
