"""The ledger's invariants, under any order of leases, settlements and times, and its edges one by one."""

import asyncio
import math
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.metering.lease import Ask, Lease, NeedsCount, Unopened
from gateway.metering.memory_ledger import KEPT_SECONDS, MemoryLedger
from gateway.metering.plan import Plan
from gateway.metering.window import span
from gateway.price import Price
from sluice.errors import BudgetExhausted, RateLimited, SluiceError
from sluice.identity import Budget, Identity, Limit

PRICE = Price(input=3_000_000, cached=1_000_000, output=7_000_000)
"""3 billionths a token read, 1 where it was cached, 7 written."""
MINUTE = Budget("key:k/tokens/minute", "key:k", 100, "minute")
DAY = Budget("team:t/tokens/day", "team:t", 250, "day")
EVER = Budget("organisation:o/tokens/ever", "organisation:o", 1_000, "ever")
MONEY = Budget("team:t/money/day", "team:t", 900, "day", "money")
SOFT = Budget("user:u/tokens/day", "user:u", 50, "day", hard=False)
BUDGETS = (MINUTE, DAY, EVER, MONEY, SOFT)
REQUESTS = Limit("key:k/requests", "key:k", "requests", 6)
TOKENS = Limit("team:t/tokens", "team:t", "tokens", 120)
CONCURRENT = Limit("key:k/concurrent", "key:k", "concurrent", 3)
LIMITS = (REQUESTS, TOKENS, CONCURRENT)
START = 86_400.0 * 365


class Clock:
    """Seconds since 1970 that stand still until they are moved."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def plan(*meters: Budget | Limit, price: Price | None = PRICE) -> Plan:
    budgets = tuple(meter for meter in meters if isinstance(meter, Budget))
    limits = tuple(meter for meter in meters if isinstance(meter, Limit))
    return Plan(Identity("k", "ada", None), budgets, limits, price)


def ask(prompt: int, completion: int = 0, choices: int = 1, **further: Any) -> Ask:
    return Ask("r", prompt, choices, completion, **{"exact": True, **further})


def take(ledger: MemoryLedger, plan: Plan, ask: Ask) -> Lease:
    """Lease, opening what is not open with nothing spent."""

    async def leased() -> Lease:
        try:
            return await ledger.lease(plan, ask)
        except Unopened as unopened:
            for budget in unopened.budgets:
                await ledger.open(budget, 0, span(budget.window, ledger.clock())[1])
        return await ledger.lease(plan, ask)

    return asyncio.run(leased())


def used(ledger: MemoryLedger, budget: Budget) -> tuple[int, int]:
    found = asyncio.run(ledger.used(budget))
    assert found is not None
    return found


class Calls(RuleBasedStateMachine):
    """Beside the ledger, a plain model: for each window of each budget what was spent and what is held."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.ledger = MemoryLedger(self.clock)
        self.plans = {}
        self.spent: dict[tuple[str, float], int] = {}
        self.held: dict[tuple[str, float], int] = {}
        self.under_way = 0
        self.admitted: list[tuple[float, int]] = []
        take(self.ledger, plan(*BUDGETS), Ask("r", 0, 0, 0, exact=True)).settle(0, 0)

    def window(self, budget: Budget) -> tuple[str, float]:
        return budget.id, span(budget.window, self.clock.now)[0]

    def left(self, budget: Budget) -> int:
        window = self.window(budget)
        return budget.amount - self.spent.get(window, 0) - self.held.get(window, 0)

    @rule(
        target=leases,
        chosen=st.sets(st.sampled_from((*BUDGETS, *LIMITS)), min_size=1),
        prompt=st.integers(0, 60),
        completion=st.integers(0, 120),
        choices=st.integers(0, 3),
        exact=st.booleans(),
    )
    def lease(
        self, chosen: set[Budget | Limit], prompt: int, completion: int, choices: int, exact: bool
    ) -> tuple[Lease, list[tuple[Budget, tuple[str, float]]], bool] | None:
        meters = tuple(sorted(chosen, key=lambda meter: meter.id))
        applied = self.plans.setdefault(meters, plan(*meters))
        asked = Ask("r", prompt, choices, completion, exact=exact)
        before = {budget: self.left(budget) for budget in applied.budgets}
        try:
            lease = take(self.ledger, applied, asked)
        except (SluiceError, NeedsCount) as refusal:
            whole = asked.tokens(completion)
            cost = PRICE.cost(prompt, 0, choices * completion)
            fits = all(
                (whole if budget.unit == "tokens" else cost) <= before[budget]
                for budget in applied.budgets
                if budget.hard
            )
            if isinstance(refusal, NeedsCount):
                assert not exact
            if isinstance(refusal, BudgetExhausted | NeedsCount):
                assert not fits or TOKENS in meters
            return None
        assert lease.tokens == asked.tokens(lease.completion)
        assert lease.completion <= completion
        if lease.completion < completion:
            assert exact
            assert lease.completion >= 1
            assert lease.limited_by in meters
        windows = [(budget, self.window(budget)) for budget in applied.budgets]
        for budget, window in windows:
            self.held[window] = self.held.get(window, 0) + (lease.tokens if budget.unit == "tokens" else lease.money)
        gated = CONCURRENT in meters
        self.under_way += gated
        assert self.under_way <= CONCURRENT.amount
        if REQUESTS in meters:
            self.admitted.append((self.clock.now, 1))
        return lease, windows, gated

    @rule(taken=consumes(leases), share=st.floats(0, 1), again=st.integers(0, 500))
    def settle(
        self, taken: tuple[Lease, list[tuple[Budget, tuple[str, float]]], bool] | None, share: float, again: int
    ) -> None:
        if taken is None:
            return
        lease, windows, gated = taken
        tokens, money = int(lease.tokens * share), int(lease.money * share)
        lease.settle(tokens, money)
        lease.settle(again, again)
        self.under_way -= gated
        for budget, window in windows:
            self.held[window] -= lease.tokens if budget.unit == "tokens" else lease.money
            self.spent[window] = self.spent.get(window, 0) + (tokens if budget.unit == "tokens" else money)

    @rule(seconds=st.sampled_from([0.5, 31, 60, 3_600, 86_400]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def never_over_and_as_the_model_says(self) -> None:
        for budget in BUDGETS:
            spent, held = used(self.ledger, budget)
            assert held >= 0
            assert not budget.hard or spent + held <= budget.amount
            assert budget.amount - spent - held == self.left(budget)

    @invariant()
    def no_minute_lets_through_more_than_twice_its_limit(self) -> None:
        """GCRA with a burst of the whole limit: what was left of the bucket, and what drained meanwhile."""
        recent = [count for at, count in self.admitted if at > self.clock.now - 60]
        assert sum(recent) <= 2 * REQUESTS.amount


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_budget_that_is_full_leaves_the_others_untouched() -> None:
    ledger = MemoryLedger(Clock())
    take(ledger, plan(MINUTE), ask(100))
    with pytest.raises(BudgetExhausted):
        take(ledger, plan(DAY, MINUTE, REQUESTS, CONCURRENT), ask(1))
    assert used(ledger, DAY) == (0, 0)
    assert ledger._gates[CONCURRENT.id].held == 0
    assert ledger._levels[REQUESTS.id].level == 0


def test_a_lease_is_charged_to_the_window_it_was_taken_in() -> None:
    clock = Clock()
    ledger = MemoryLedger(clock)
    lease = take(ledger, plan(MINUTE), ask(80))
    clock.now += 60
    assert take(ledger, plan(MINUTE), ask(0)).left == 100
    lease.settle(80, 0)
    assert used(ledger, MINUTE) == (0, 0)


def test_a_clock_that_is_set_back_reopens_no_window() -> None:
    clock = Clock()
    ledger = MemoryLedger(clock)
    take(ledger, plan(MINUTE), ask(70))
    clock.now -= 30
    assert take(ledger, plan(MINUTE), ask(0)).left == 30


def test_a_call_that_used_more_than_its_lease_leaves_less_than_nothing() -> None:
    ledger = MemoryLedger(Clock())
    lease = take(ledger, plan(MINUTE), ask(60))
    lease.settle(130, 0)
    assert lease.left == 0
    with pytest.raises(BudgetExhausted) as refusal:
        take(ledger, plan(MINUTE), ask(1))
    assert refusal.value.left == 0


def test_an_answer_is_shortened_to_what_the_tightest_budget_leaves() -> None:
    ledger = MemoryLedger(Clock())
    lease = take(ledger, plan(DAY, MINUTE), ask(40, completion=500, choices=2))
    assert (lease.completion, lease.tokens, lease.limited_by) == (30, 100, MINUTE)


def test_money_shortens_an_answer_too() -> None:
    ledger = MemoryLedger(Clock())
    lease = take(ledger, plan(MONEY), ask(100, completion=500))
    assert (lease.completion, lease.limited_by) == ((900 - 300) // 7, MONEY)
    assert lease.money <= 900
    lease.settle(150, PRICE.cost(100, 60, 50))
    assert used(ledger, MONEY) == (40 * 3 + 60 * 1 + 50 * 7, 0)


def test_what_does_not_fit_by_its_bound_is_counted_first() -> None:
    ledger = MemoryLedger(Clock())
    with pytest.raises(NeedsCount):
        take(ledger, plan(MINUTE), ask(90, completion=20, exact=False))
    assert used(ledger, MINUTE) == (0, 0)
    assert take(ledger, plan(MINUTE), ask(30, completion=20)).limited_by is None


def test_a_soft_budget_warns_and_refuses_nothing() -> None:
    ledger = MemoryLedger(Clock())
    assert take(ledger, plan(SOFT), ask(50)).exceeded is None
    lease = take(ledger, plan(SOFT), ask(1_000))
    assert (lease.exceeded, lease.limited_by, lease.left) == (SOFT, None, None)


def test_requests_drain_evenly_over_a_minute() -> None:
    clock = Clock()
    ledger = MemoryLedger(clock)
    limited = plan(REQUESTS)
    for _ in range(6):
        take(ledger, limited, ask(0)).settle(0, 0)
    with pytest.raises(RateLimited) as refusal:
        take(ledger, limited, ask(0))
    assert refusal.value.retry_after == b"10"
    assert refusal.value.reached == ("requests", 6, 0, 60)
    clock.now += 10
    assert dict(take(ledger, limited, ask(0)).rates())["requests"].remaining == 0
    with pytest.raises(RateLimited):
        take(ledger, limited, ask(0))
    clock.now += 60
    rate = dict(take(ledger, limited, ask(0)).rates())["requests"]
    assert (rate.limit, rate.remaining, rate.reset_seconds) == (6, 5, 10)


def test_tokens_that_a_call_did_not_use_are_given_back_to_the_limit() -> None:
    ledger = MemoryLedger(Clock())
    limited = plan(TOKENS)
    lease = take(ledger, limited, ask(20, completion=100))
    with pytest.raises(RateLimited) as refusal:
        take(ledger, limited, ask(20, completion=40))
    assert refusal.value.retry_after == b"30"
    assert refusal.value.reached == ("tokens", 120, 0, 60)
    lease.settle(50, 0)
    assert take(ledger, limited, ask(20, completion=40)).tokens == 60


def test_a_limit_shortens_only_what_no_waiting_would_let_through() -> None:
    ledger = MemoryLedger(Clock())
    lease = take(ledger, plan(TOKENS), ask(20, completion=500))
    assert (lease.completion, lease.limited_by) == (100, TOKENS)
    with pytest.raises(RateLimited) as refusal:
        take(ledger, plan(TOKENS), ask(200, completion=1))
    assert refusal.value.retry_after is None


def test_calls_at_once_are_counted_until_they_end() -> None:
    ledger = MemoryLedger(Clock())
    limited = plan(CONCURRENT)
    leases = [take(ledger, limited, ask(0)) for _ in range(3)]
    with pytest.raises(RateLimited) as refusal:
        take(ledger, limited, ask(0))
    assert refusal.value.retry_after == b"1"
    leases[0].settle(0, 0)
    leases[0].settle(0, 0)
    take(ledger, limited, ask(0))
    with pytest.raises(RateLimited):
        take(ledger, limited, ask(0))


def test_a_budget_that_is_not_open_is_asked_for() -> None:
    ledger = MemoryLedger(Clock())
    with pytest.raises(Unopened) as unopened:
        asyncio.run(ledger.lease(plan(MINUTE, EVER), ask(1)))
    assert unopened.value.budgets == [MINUTE, EVER]
    asyncio.run(ledger.open(EVER, 990, math.inf))
    asyncio.run(ledger.open(EVER, 0, math.inf))
    assert used(ledger, EVER) == (990, 0)


def test_two_plans_share_what_they_have_in_common() -> None:
    ledger = MemoryLedger(Clock())
    take(ledger, plan(DAY, MINUTE), ask(60))
    assert take(ledger, plan(DAY), ask(100)).left == 90


def test_what_nobody_uses_any_more_is_forgotten() -> None:
    clock = Clock()
    ledger = MemoryLedger(clock)
    for number in range(5_000):
        clock.now += 10
        scope = f"key:{number}"
        meters = [Limit(f"{scope}/{what}", scope, what, 5) for what in ("requests", "concurrent")]
        take(ledger, plan(Budget(f"{scope}/tokens/minute", scope, 5, "minute"), *meters), ask(1)).settle(1, 0)
    most = 3 * KEPT_SECONDS / 10 + 1
    assert max(len(ledger._windows), len(ledger._levels), len(ledger._gates)) <= most
