import pytest

from gateway.routing.retry import FEW, HONOURED_SECONDS, WINDOW_SECONDS, RetryBudget, may_retry, wait_before
from gateway.upstream.failures import CircuitOpen, NotConnectedInTime, TurnedAway
from sluice.errors import (
    InvalidRequest,
    SluiceError,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from sluice.route_settings import RetrySettings
from tests.gateway.routing.test_breaker import Clock

PLAIN = RetrySettings(backoff_seconds=0.1)


def refused(status: int, retry_after: bytes | None = None) -> UpstreamRefused:
    return UpstreamRefused("no", status=status, retry_after=retry_after)


def withdrawn(budget: RetryBudget, tries: int) -> int:
    return sum(budget.withdraw() for _ in range(tries))


def test_retries_are_a_share_of_the_requests() -> None:
    budget = RetryBudget(0.2, Clock())
    for _ in range(100):
        budget.deposit()
    assert withdrawn(budget, 100) == 20


def test_few_requests_may_be_retried_all_the_same_but_no_storm_comes_of_it() -> None:
    clock = Clock()
    budget = RetryBudget(0.2, clock)
    assert withdrawn(budget, 50) == FEW
    clock.now += WINDOW_SECONDS - 1
    assert withdrawn(budget, 50) == 0
    clock.now += 1
    assert withdrawn(budget, 50) == FEW


def test_a_share_of_nothing_is_nothing() -> None:
    budget = RetryBudget(0, Clock())
    budget.deposit()
    assert not budget.withdraw()


def test_requests_leave_the_window() -> None:
    clock = Clock()
    budget = RetryBudget(0.5, clock)
    for _ in range(WINDOW_SECONDS):
        clock.now += 1
        for _ in range(10):
            budget.deposit()
    assert withdrawn(budget, 100) == 50
    clock.now += WINDOW_SECONDS
    assert withdrawn(budget, 100) == FEW


@pytest.mark.parametrize(
    ("error", "safe", "after_work"),
    [
        (UpstreamUnreachable("x"), True, True),
        (NotConnectedInTime("x"), True, True),
        (TurnedAway("x"), True, True),
        (CircuitOpen("x", 1), True, True),
        (refused(429), True, True),
        (refused(503), True, True),
        (refused(500), False, True),
        (UpstreamFailed("broke off"), False, True),
        (UpstreamTimeout("no token"), False, False),
        (refused(400), False, False),
        (refused(404), False, False),
        (InvalidRequest("x"), False, False),
    ],
)
def test_what_may_be_tried_again(error: SluiceError, safe: bool, after_work: bool) -> None:
    assert may_retry(error, PLAIN) is safe
    assert may_retry(error, RetrySettings(after_work=True)) is after_work


def test_the_wait_doubles_and_has_full_jitter() -> None:
    for number, most in ((1, 0.1), (2, 0.2), (3, 0.4)):
        waits = [wait_before(number, refused(503), PLAIN, lambda drawn=drawn: drawn) for drawn in (0, 0.5, 1)]
        assert waits == [0, pytest.approx(most / 2), pytest.approx(most)]


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        (b"2", 2),
        (b"0", 0.1),
        (b"%d" % (HONOURED_SECONDS + 1), None),
        (b"9" * 5000, None),
        (b"Wed, 21 Oct 2026 07:28:00 GMT", None),
        (b"-1", None),
        (b"\xb2", None),
    ],
)
def test_an_upstreams_wish_to_wait_is_honoured_where_it_is_short(retry_after: bytes, wait: float | None) -> None:
    assert wait_before(1, refused(429, retry_after), PLAIN, lambda: 1) == wait


def test_an_upstream_that_refuses_our_key_is_not_asked_again() -> None:
    assert wait_before(1, TurnedAway("401"), PLAIN) is None
