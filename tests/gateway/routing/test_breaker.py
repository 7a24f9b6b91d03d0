"""The state machine alone, with a clock of its own."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.routing.breaker import Breaker
from gateway.upstream.failures import CircuitOpen
from sluice.route_settings import BreakerSettings

SETTINGS = BreakerSettings(failures=3, window_seconds=30, open_seconds=10, probes=2)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("far", SETTINGS, clock)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(breaker.enter())


def test_so_many_failures_open_it(breaker: Breaker) -> None:
    fail(breaker, 2)
    assert breaker.state == "closed"
    fail(breaker, 1)
    with pytest.raises(CircuitOpen, match="'far' has failed too often and is left alone for 10 s") as refused:
        breaker.enter()
    assert refused.value.retry_after == b"10"


def test_a_success_between_them_forgets_failures(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.succeeded(breaker.enter())
    breaker.completed()
    fail(breaker, 2)
    assert breaker.state == "closed"


def test_answers_that_begin_and_never_end_are_no_success(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.succeeded(breaker.enter())
        breaker.broke_off()
    assert breaker.state == "open"


def test_failures_far_apart_do_not_open_it(breaker: Breaker, clock: Clock) -> None:
    for _ in range(10):
        fail(breaker, 1)
        clock.now += 15.1
    assert breaker.state == "closed"
    fail(breaker, 1)
    clock.now += 1
    fail(breaker, 1)
    assert breaker.state == "open"


def test_what_a_client_caused_does_not_count(breaker: Breaker) -> None:
    for _ in range(10):
        breaker.left(breaker.enter())
    assert breaker.state == "closed"


def test_after_a_while_a_bounded_number_of_probes_passes(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 9.9
    assert not breaker.allows
    clock.now += 0.1
    first, second = breaker.enter(), breaker.enter()
    assert breaker.state == "half_open"
    assert not breaker.allows
    with pytest.raises(CircuitOpen):
        breaker.enter()
    breaker.succeeded(first)
    assert breaker.state == "half_open"
    breaker.succeeded(second)
    assert breaker.state == "closed"


def test_a_failed_probe_opens_it_for_the_whole_time_again(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    fail(breaker, 1)
    clock.now += 9.9
    assert breaker.state == "open"
    assert not breaker.allows


def test_a_probe_whose_client_left_makes_room_for_another(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    permits = [breaker.enter(), breaker.enter()]
    breaker.left(permits[0])
    assert breaker.allows
    breaker.succeeded(breaker.enter())
    breaker.succeeded(permits[1])
    assert breaker.state == "closed"


def test_what_was_sent_before_it_opened_says_nothing_of_the_probes(breaker: Breaker, clock: Clock) -> None:
    slow = [breaker.enter() for _ in range(6)]
    fail(breaker, 3)
    breaker.failed(slow[0])
    clock.now += 10
    assert breaker.allows
    probe = breaker.enter()
    for permit, tell in zip(
        slow[1:], (breaker.succeeded, breaker.succeeded, breaker.failed, breaker.left), strict=False
    ):
        tell(permit)
    assert breaker.state == "half_open"
    assert breaker.allows
    breaker.succeeded(probe)
    breaker.succeeded(breaker.enter())
    assert breaker.state == "closed"


def test_an_answer_that_breaks_off_counts(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.broke_off()
    assert breaker.state == "open"
    breaker.broke_off()
    assert breaker.state == "open"


class BreakerMachine(RuleBasedStateMachine):
    """Any order of requests, results and time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker("far", SETTINGS, self.clock)
        self.under_way: list[tuple[int, bool]] = []  # permit, whether it was given to a probe
        self.opened_at: float | None = None

    @rule()
    def enter(self) -> None:
        allowed = self.breaker.allows
        if not allowed:
            with pytest.raises(CircuitOpen):
                self.breaker.enter()
            return
        permit = self.breaker.enter()
        self.under_way.append((permit, self.breaker.state == "half_open"))

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 1000), result=st.sampled_from(["succeeded", "failed", "left"]))
    def end(self, which: int, result: str) -> None:
        permit, _ = self.under_way.pop(which % len(self.under_way))
        before = self.breaker.state
        getattr(self.breaker, result)(permit)
        if result == "left":
            assert self.breaker.state == before
        if before != "open" and self.breaker.state == "open":
            assert result == "failed"
            self.opened_at = self.clock.now
        if before != "closed" and self.breaker.state == "closed":
            assert result == "succeeded"
            assert before == "half_open"

    @rule(told=st.sampled_from(["completed", "broke_off"]))
    def come_to_an_end(self, told: str) -> None:
        before = self.breaker.state
        getattr(self.breaker, told)()
        if before != "open" and self.breaker.state == "open":
            assert (before, told) == ("closed", "broke_off")
            self.opened_at = self.clock.now
        assert before == self.breaker.state or self.breaker.state == "open"

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def no_more_probes_than_allowed(self) -> None:
        if self.breaker.state == "half_open":
            probes = sum(was_probe and permit == self.breaker._epoch for permit, was_probe in self.under_way)
            assert probes <= SETTINGS.probes
            assert self.breaker._probing == probes

    @invariant()
    def it_never_stays_shut(self) -> None:
        """Whatever happened, with nothing under way a request passes once the time is over."""
        if self.breaker.state == "open":
            assert self.opened_at is not None
            assert self.breaker.allows == (self.clock.now >= self.opened_at + SETTINGS.open_seconds)
        elif not any(permit == self.breaker._epoch for permit, _ in self.under_way):
            assert self.breaker.allows


TestBreakerMachine = BreakerMachine.TestCase
