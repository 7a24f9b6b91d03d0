"""What the script that leases answers: a lease, or why not."""

import math
from collections.abc import Callable
from typing import Any

from gateway.metering.lease import Ask, Lease, NeedsCount, Rate, RateKind, Unopened
from gateway.metering.plan import Plan
from gateway.metering.redis_accounts import Accounts
from gateway.metering.refusal import budget_refusal, limit_refusal, rate_refusal
from sluice.identity import Budget, Limit
from sluice.identity.budgets import MOST


class RedisLease(Lease):
    """A lease as it was when it was taken: what others do since is not asked for.

    Args:
        book: sends what was used to Redis; nobody waits for it.
        levels: of the limits of requests, then of tokens.

    Attributes:
        uncounted: it was taken while Redis was lost.
    """

    __slots__ = ("_accounts", "_book", "_left", "_levels", "_settled", "request_id", "uncounted")

    def __init__(
        self,
        plan: Plan,
        tokens: int,
        money: int,
        completion: int,
        request_id: str,
        accounts: Accounts,
        book: Callable[["RedisLease", int, int], None],
        *,
        limited_by: Budget | Limit | None = None,
        exceeded: Budget | None = None,
        left: int | None = None,
        levels: list[float] | None = None,
        uncounted: bool = False,
    ) -> None:
        super().__init__(plan, tokens, money, completion, limited_by)
        self.exceeded = exceeded
        self._left = left
        self.request_id = request_id
        self.uncounted = uncounted
        self._accounts = accounts
        self._book = book
        self._levels = levels or []
        self._settled = False

    @property
    def left(self) -> int | None:
        return self._left

    def settle(self, tokens: int, money: int) -> None:
        if self._settled:
            return
        self._settled = True
        self._book(self, tokens, money)
        unused = self.tokens - tokens
        self._left = None if self._left is None else max(0, self._left + unused)
        for place in range(len(self._accounts.requests), len(self._levels)):
            self._levels[place] = max(0.0, self._levels[place] - unused)

    def rates(self) -> list[tuple[RateKind, Rate]]:
        if not self._levels:
            return []
        requests, tokens = self._accounts.requests, self._accounts.tokens
        found: list[tuple[RateKind, Rate]] = []
        if requests:
            found.append(("requests", _tightest(list(zip(requests, self._levels, strict=False)))))
        if tokens:
            found.append(("tokens", _tightest(list(zip(tokens, self._levels[len(requests) :], strict=True)))))
        return found


def lease_of(
    plan: Plan, accounts: Accounts, ask: Ask, reply: list[Any], book: Callable[[RedisLease, int, int], None]
) -> RedisLease:
    """The lease that was taken; meters by their place in the plan, 0 for none."""
    places: tuple[int, int] = (reply[4], reply[5])
    _, tokens, money, completion, _, _, left, *levels = reply
    meters: tuple[Budget | Limit | None, ...] = (None, *accounts.budgets, *accounts.tokens)
    return RedisLease(
        plan,
        tokens,
        money,
        completion,
        ask.request_id,
        accounts,
        book,
        limited_by=meters[places[0]],
        exceeded=accounts.budgets[places[1] - 1] if places[1] else None,
        left=None if left < 0 else left,
        levels=levels,
    )


def refusal_of(plan: Plan, accounts: Accounts, ask: Ask, now: float, reply: list[Any]) -> Exception:
    """Why nothing was taken."""
    code: str = reply[0]
    places: list[int] = reply[1:]
    least = ask.prompt + ask.choices
    match code:
        case "unopened":
            unopened = {accounts.budgets[place - 1].id for place in places}
            return Unopened([budget for budget in plan.budgets if budget.id in unopened])
        case "count":
            return NeedsCount()
        case "full":
            return limit_refusal(accounts.gates[places[0] - 1], 1)
        case "requests":
            return rate_refusal(accounts.requests[places[0] - 1], places[1], 1)
        case "never":
            return limit_refusal(accounts.tokens[places[0] - 1], None, least)
        case "tokens":
            return rate_refusal(accounts.tokens[places[0] - 1], places[1], places[2])
        case _:
            place, spent, held, ends, left = places
            ever = math.inf if ends >= MOST else ends
            error = budget_refusal(accounts.budgets[place - 1], spent, held, ever, ask, plan.price, now)
            error.left = None if left < 0 else left
            return error


def _tightest(levels: list[tuple[Limit, float]]) -> Rate:
    limit, level = min(levels, key=lambda pair: pair[0].amount - pair[1])
    return Rate(limit.amount, max(0, int(limit.amount - level)), level * 60 / limit.amount)
