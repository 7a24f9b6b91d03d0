"""The ledger's invariants, under any order of leases, settlements and times."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.metering.ledger import Lease, Ledger
from gateway.metering.window import span
from sluice.identity import Budget

MINUTE = Budget("k/minute", "k", 100, "minute")
DAY = Budget("k/day", "k", 250, "day")
EVER = Budget("other/ever", "other", 1_000, "ever")
ALL = (MINUTE, DAY, EVER)


def opened(*budgets: Budget, now: float = 0.0, spent: int = 0) -> Ledger:
    ledger = Ledger()
    for budget in budgets:
        ledger.open(budget, spent, span(budget.window, now)[1], now)
    return ledger


class Calls(RuleBasedStateMachine):
    """Beside the ledger, a plain model: for each window of each budget what was spent and what is held."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.now = 86_400.0 * 365
        self.ledger = opened(*ALL, now=self.now)
        self.spent: dict[tuple[str, float], int] = {}
        self.held: dict[tuple[str, float], int] = {}

    def windows(self, budgets: tuple[Budget, ...]) -> list[tuple[str, float]]:
        return [(budget.id, span(budget.window, self.now)[0]) for budget in budgets]

    def left(self, budget: Budget) -> int:
        [window] = self.windows((budget,))
        return budget.tokens - self.spent.get(window, 0) - self.held.get(window, 0)

    @rule(target=leases, chosen=st.sets(st.sampled_from(ALL), min_size=1), tokens=st.integers(0, 120))
    def lease(self, chosen: set[Budget], tokens: int) -> tuple[Lease | None, list[tuple[str, float]]]:
        budgets = tuple(chosen)
        fits = tokens <= min(self.left(budget) for budget in budgets)
        lease = self.ledger.lease(budgets, tokens, self.now)
        assert (lease is not None) == fits
        windows = self.windows(budgets)
        if lease is not None:
            for window in windows:
                self.held[window] = self.held.get(window, 0) + tokens
        return lease, windows

    @rule(taken=consumes(leases), share=st.floats(0, 1), again=st.integers(0, 500))
    def settle(self, taken: tuple[Lease | None, list[tuple[str, float]]], share: float, again: int) -> None:
        lease, windows = taken
        if lease is None:
            return
        charged = int(lease.tokens * share)
        lease.settle(charged)
        lease.settle(again)
        for window in windows:
            self.held[window] -= lease.tokens
            self.spent[window] = self.spent.get(window, 0) + charged

    @rule(seconds=st.sampled_from([0.5, 31, 60, 3_600, 86_400]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def never_over_and_as_the_model_says(self) -> None:
        for budget in ALL:
            account = self.ledger.account(budget, self.now)
            assert account is not None
            assert account.leased >= 0
            assert account.spent + account.leased <= budget.tokens
            assert budget.tokens - account.spent - account.leased == self.left(budget)
            assert self.ledger.available((budget,), self.now) == self.left(budget)


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_one_budget_that_is_full_leaves_the_others_untouched() -> None:
    ledger = opened(MINUTE, DAY)
    assert ledger.lease((MINUTE,), 100, 0) is not None
    assert ledger.lease((DAY, MINUTE), 1, 0) is None
    assert ledger.available((DAY,), 0) == 250
    assert ledger.tightest((DAY, MINUTE), 0) is MINUTE


def test_a_lease_is_charged_to_the_window_it_was_taken_in() -> None:
    ledger = opened(MINUTE)
    lease = ledger.lease((MINUTE,), 80, 59)
    assert lease is not None
    assert ledger.available((MINUTE,), 60) == 100
    lease.settle(80)
    assert ledger.available((MINUTE,), 60) == 100


def test_a_clock_that_is_set_back_reopens_no_window() -> None:
    ledger = opened(MINUTE)
    assert ledger.lease((MINUTE,), 70, 61) is not None
    assert ledger.available((MINUTE,), 30) == 30


def test_a_call_that_used_more_than_its_lease_leaves_less_than_nothing() -> None:
    ledger = opened(MINUTE)
    lease = ledger.lease((MINUTE,), 60, 0)
    assert lease is not None
    lease.settle(130)
    assert ledger.available((MINUTE,), 0) == 0
    assert ledger.lease((MINUTE,), 1, 0) is None


def test_what_is_spent_already_counts() -> None:
    assert opened(MINUTE, spent=70).available((MINUTE,), 0) == 30


def test_ended_windows_of_idle_keys_are_forgotten() -> None:
    ledger = Ledger()
    for number in range(10_000):
        now = number * 10.0
        ledger.open(Budget(f"{number}/minute", str(number), 5, "minute"), 0, span("minute", now)[1], now)
    assert len(ledger._accounts) <= 1_200
