"""What budgets have spent and what calls under way hold of them, in the memory of the one gateway worker.

A call takes its tokens from all its budgets or from none, before it is made; afterwards its true count is booked and the
rest given back. So what is spent and what is held never exceed a budget together, however many calls there are at once.
Nothing here waits, which is what makes a lease atomic: it belongs to one event loop.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.budgets.window import span
from sluice.identity import Budget

KEPT_SECONDS = 3_600
"""How long a window that has ended stays known, so that no request on its way misses one; and between two sweeps."""


@dataclass(slots=True)
class Account:
    """One window of one budget, in tokens; its ends in seconds since 1970."""

    ends: float
    spent: int
    leased: int = 0


class Lease:
    """Tokens held for one call. It is charged to the windows it was taken in, also when they have ended."""

    __slots__ = ("_accounts", "tokens")

    def __init__(self, accounts: tuple[Account, ...], tokens: int) -> None:
        self._accounts = accounts
        self.tokens = tokens

    def settle(self, charged: int) -> None:
        """Book what the call used and give back the rest; only the first time counts."""
        accounts, self._accounts = self._accounts, ()
        for account in accounts:
            account.leased -= self.tokens
            account.spent += charged


class Ledger:
    """The accounts of all budgets in use. Times are seconds since 1970, passed in."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._swept = 0.0

    def account(self, budget: Budget, now: float) -> Account | None:
        """The running window; None where what was spent in it has to be read first (`open`).

        A window that follows one known here begins empty. A clock that is set back does not reopen one.
        """
        account = self._accounts.get(budget.id)
        if account is not None and now >= account.ends:
            account = self._accounts[budget.id] = Account(span(budget.window, now)[1], spent=0)
        return account

    def open(self, budget: Budget, spent: int, ends: float, now: float) -> None:
        """Begin to count a window of which `spent` tokens are gone already; forget windows that ended long ago."""
        if now >= self._swept + KEPT_SECONDS:
            self._swept = now
            since = now - KEPT_SECONDS
            self._accounts = {id_: account for id_, account in self._accounts.items() if since < account.ends}
        self._accounts.setdefault(budget.id, Account(ends, spent))

    def available(self, budgets: Sequence[Budget], now: float) -> int:
        """Tokens that a lease over all these budgets could have; they are open."""
        return max(0, min(budget.tokens - self._used(budget, now) for budget in budgets))

    def tightest(self, budgets: Sequence[Budget], now: float) -> Budget:
        """The budget that limits the others."""
        return min(budgets, key=lambda budget: budget.tokens - self._used(budget, now))

    def lease(self, budgets: Sequence[Budget], tokens: int, now: float) -> Lease | None:
        """Hold tokens of every one of these budgets, or of none; they are open."""
        if tokens > self.available(budgets, now):
            return None
        accounts = tuple(self._open_account(budget, now) for budget in budgets)
        for account in accounts:
            account.leased += tokens
        return Lease(accounts, tokens)

    def _used(self, budget: Budget, now: float) -> int:
        account = self._open_account(budget, now)
        return account.spent + account.leased

    def _open_account(self, budget: Budget, now: float) -> Account:
        account = self.account(budget, now)
        assert account is not None, "the step opens accounts before it leases"
        return account
