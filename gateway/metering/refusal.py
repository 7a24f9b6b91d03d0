"""How a call is refused that its budgets or limits do not allow: which, what is left, when to come back."""

import math
from datetime import UTC, datetime

from gateway.metering.lease import Ask
from gateway.price import Price
from sluice.errors import BudgetExhausted, RateLimited
from sluice.identity import Budget, Limit
from sluice.identity.money import show_money


def budget_refusal(
    budget: Budget, spent: int, held: int, ends: float, ask: Ask, price: Price | None, now: float
) -> BudgetExhausted:
    """The error for a call of which not even one token of an answer fits.

    Args:
        spent, held: of the budget, in its unit.
        ends: when its window ends, in seconds since 1970.
    """
    least = ask.prompt + ask.choices
    if budget.unit == "money":
        assert price is not None
        least = price.cost(ask.prompt, 0, ask.choices)
    if least > budget.amount:
        return BudgetExhausted(
            f"The call needs up to {_shown(least, budget)}, more than the whole budget of {budget} ({budget.id}).",
            fix="Send a shorter prompt, or have the budget raised.",
        )
    holds = f" and calls under way hold {_shown(held, budget)}" if held else ""
    begins = "it does not begin anew"
    if ends < math.inf:
        begins = f"it begins anew at {datetime.fromtimestamp(ends, UTC):%Y-%m-%dT%H:%M:%SZ}"
    error = BudgetExhausted(
        f"The budget of {budget} ({budget.id}) has too little left for this call, which needs up to "
        f"{_shown(least, budget)}: {_shown(spent, budget)} are spent{holds}; {begins}.",
        fix="Wait for calls under way to end." if held else "",
    )
    if held and budget.amount - spent >= least:
        error.retry_after = b"1"  # as soon as one of them ends
    elif ends < math.inf:
        error.retry_after = b"%d" % max(1, math.ceil(ends - now))
    return error


def limit_refusal(limit: Limit, seconds: float | None, tokens: int = 0) -> RateLimited:
    """The error for a call that comes too early.

    Args:
        seconds: until it would be let through; None: never.
        tokens: that it needs at least, where the limit counts tokens.
    """
    if seconds is None:
        return RateLimited(
            f"The call needs up to {tokens:,} tokens, more than the limit of {limit} ({limit.id}) ever lets through.",
            fix="Send a shorter prompt, or have the limit raised.",
        )
    after = max(1, math.ceil(seconds))
    error = RateLimited(f"The limit of {limit} ({limit.id}) is reached.", fix=f"Try again in {after} s.")
    error.retry_after = b"%d" % after
    return error


def _shown(amount: int, budget: Budget) -> str:
    return f"{amount:,} tokens" if budget.unit == "tokens" else f"{show_money(amount)} of money"
