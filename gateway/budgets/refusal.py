"""How a call is refused that its budgets do not allow: which budget, what is left, when it begins anew."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.budgets.ledger import Ledger
from sluice.errors import BudgetExhausted
from sluice.identity import Budget


def refusal(ledger: Ledger, budgets: Sequence[Budget], prompt: int, choices: int, now: float) -> BudgetExhausted:
    """The error for a call of at least `prompt` tokens and one more for each of its answers."""
    least = prompt + choices
    if too_small := [budget for budget in budgets if budget.tokens < least]:
        return BudgetExhausted(
            f"The call needs up to {least:,} tokens, more than the whole budget of {too_small[0]} ({too_small[0].id}).",
            fix="Send a shorter prompt, or have the budget raised.",
        )
    budget = ledger.tightest(budgets, now)
    account = ledger.account(budget, now)
    assert account is not None
    held = f" and calls under way hold {account.leased:,}" if account.leased else ""
    ends = "it does not begin anew"
    if account.ends < math.inf:
        ends = f"it begins anew at {datetime.fromtimestamp(account.ends, UTC):%Y-%m-%dT%H:%M:%SZ}"
    error = BudgetExhausted(
        f"The budget of {budget} ({budget.id}) has too little left for this call, which needs up to {least:,}: "
        f"{account.spent:,} are spent{held}; {ends}.",
        fix="Wait for calls under way to end." if account.leased else "",
    )
    if account.leased and budget.tokens - account.spent >= least:
        error.retry_after = b"1"  # as soon as one of them ends
    elif account.ends < math.inf:
        error.retry_after = b"%d" % max(1, math.ceil(account.ends - now))
    return error
