"""The ledger in memory and the one in Redis, side by side: the same calls at the same times get the same answers."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.metering.lease import Ask, Lease, NeedsCount, Unopened
from gateway.metering.lease_journal import LeaseJournal
from gateway.metering.ledger import Ledger
from gateway.metering.memory_ledger import MemoryLedger
from gateway.metering.plan import Plan
from gateway.metering.redis_ledger import RedisLedger
from gateway.metering.window import span
from gateway.price import Price
from sluice.errors import BudgetExhausted, RateLimited, SluiceError
from sluice.identity import Budget, Identity, Limit
from sluice.settings import RedisSettings
from tests.servers.redis import URL, own_prefix

PRICE = Price(input=3_333_333, cached=1_000_000, output=7_000_001)
"""Not a whole number of billionths a token."""
DEAR = Price(input=15_000_000_000, cached=0, output=75_000_000_000)
FREE_ANSWERS = Price(input=2_000_000, cached=0, output=0)
BUDGETS = (
    Budget("key:k/tokens/minute", "key:k", 100, "minute"),
    Budget("team:t/tokens/day", "team:t", 250, "day"),
    Budget("user:u/tokens/day", "user:u", 50, "day", hard=False),
    Budget("organisation:o/tokens/ever", "organisation:o", 1_000, "ever"),
    Budget("organisation:o/tokens/month", "organisation:o", 2**53, "month"),
    Budget("team:t/money/day", "team:t", 900, "day", "money"),
    Budget("key:k/money/hour", "key:k", 2**53, "hour", "money"),
    Budget("user:u/money/hour", "user:u", 300, "hour", "money", hard=False),
)
LIMITS = (  # amounts whose drain is exact in a double: the two ledgers may then be held to the same last bit
    Limit("key:k/requests", "key:k", "requests", 60),
    Limit("team:t/tokens", "team:t", "tokens", 120),
    Limit("key:k/tokens", "key:k", "tokens", 240),
    Limit("key:k/concurrent", "key:k", "concurrent", 3),
)
SMALL = st.integers(0, 120)
AMOUNTS = st.one_of(SMALL, SMALL, SMALL, st.integers(0, 2**30))


class Clock:
    def __init__(self) -> None:
        self.now = 86_400.0 * 365

    def __call__(self) -> float:
        return self.now


class Both(RuleBasedStateMachine):
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.folder = tempfile.TemporaryDirectory()
        self.prefixed = own_prefix()
        redis = RedisSettings(url=URL, prefix=self.prefixed.__enter__(), rebuild_seconds=0.001, lease_seconds=1e9)

        async def flush() -> bool:
            return True

        self.shared = RedisLedger(redis, LeaseJournal(Path(self.folder.name), "test"), flush, self.clock)
        self.runner.run(self.shared.start())
        self.ledgers: tuple[Ledger, Ledger] = (MemoryLedger(self.clock), self.shared)
        self.plans: dict[Any, tuple[Plan, Plan]] = {}
        self.numbers = 0

    def teardown(self) -> None:
        self.runner.run(self.shared.close())
        self.runner.close()
        self.prefixed.__exit__(None, None, None)
        self.folder.cleanup()

    @rule(
        target=leases,
        chosen=st.sets(st.sampled_from((*BUDGETS, *LIMITS)), min_size=1, max_size=6),
        price=st.sampled_from((PRICE, PRICE, DEAR, FREE_ANSWERS)),
        prompt=AMOUNTS,
        completion=AMOUNTS,
        choices=st.integers(0, 3),
        most=st.sampled_from((0, 0, 40, 150)),
        exact=st.booleans(),
    )
    def lease(self, chosen: set[Budget | Limit], price: Price, **asked: int) -> tuple[Lease, Lease] | None:
        meters = tuple(sorted(chosen, key=lambda meter: meter.id))
        plans = self.plans.setdefault((meters, price), (make_plan(meters, price), make_plan(meters, price)))
        self.numbers += 1
        ask = Ask(f"r{self.numbers}", **asked)
        answers = [self.runner.run(take(ledger, plan, ask)) for ledger, plan in zip(self.ledgers, plans, strict=True)]
        assert told(answers[0]) == told(answers[1])
        first, second = answers
        return (first, second) if isinstance(first, Lease) and isinstance(second, Lease) else None

    @rule(taken=consumes(leases), share=st.floats(0, 1.5))
    def settle(self, taken: tuple[Lease, Lease] | None, share: float) -> None:
        for lease in taken or ():
            tokens, money = int(lease.tokens * share), int(lease.money * share)
            lease.settle(tokens, money)
            lease.settle(7 * tokens, 7 * money)

    @rule(seconds=st.sampled_from([0.5, 31, 60, 3_600, 86_400]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def same_is_spent_and_held(self) -> None:
        for budget in BUDGETS:
            first, second = (self.runner.run(ledger.used(budget)) or (0, 0) for ledger in self.ledgers)
            assert first == second


def make_plan(meters: tuple[Budget | Limit, ...], price: Price) -> Plan:
    budgets = tuple(meter for meter in meters if isinstance(meter, Budget))
    limits = tuple(meter for meter in meters if isinstance(meter, Limit))
    money = any(budget.unit == "money" for budget in budgets)
    return Plan(Identity("k", "ada", None), budgets, limits, price if money else None)


async def take(ledger: Ledger, plan: Plan, ask: Ask) -> Lease | SluiceError | NeedsCount:
    """A lease or why there is none, windows opened with something spent already."""
    try:
        try:
            return await ledger.lease(plan, ask)
        except Unopened as unopened:
            for budget in unopened.budgets:
                await ledger.open(budget, 0, span(budget.window, ledger.clock())[1])
        return await ledger.lease(plan, ask)
    except (SluiceError, NeedsCount) as refusal:
        return refusal


def told(answer: Lease | SluiceError | NeedsCount) -> tuple[Any, ...]:
    """All that anybody learns of an answer."""
    if isinstance(answer, Lease):
        return (
            answer.tokens, answer.money, answer.completion, answer.limited_by, answer.exceeded, answer.left,
            answer.rates(),
        )  # fmt: skip
    if isinstance(answer, NeedsCount):
        return (NeedsCount,)
    left = answer.left if isinstance(answer, BudgetExhausted) else None
    reached = answer.reached if isinstance(answer, RateLimited) else None
    return type(answer), str(answer), answer.retry_after, left, reached


TestBoth = Both.TestCase
TestBoth.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
