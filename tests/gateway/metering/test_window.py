from datetime import UTC, datetime
from math import inf

import pytest

from gateway.metering.window import span
from sluice.identity.budgets import Window


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("window", "begin", "end"),
    [
        ("minute", at(2026, 12, 31, 23, 59), at(2027, 1, 1)),
        ("hour", at(2026, 12, 31, 23), at(2027, 1, 1)),
        ("day", at(2026, 12, 31), at(2027, 1, 1)),
        ("month", at(2026, 12, 1), at(2027, 1, 1)),
        ("ever", 0.0, inf),
    ],
)
def test_windows_are_those_of_the_calendar(window: Window, begin: float, end: float) -> None:
    for now in (max(begin, at(2026, 12, 31, 23, 59)), at(2026, 12, 31, 23, 59, 59) + 0.999):
        assert span(window, now) == (begin, end)


@pytest.mark.parametrize("window", ["minute", "hour", "day", "month"])
def test_the_end_is_the_next_beginning(window: Window) -> None:
    now = at(2027, 2, 27, 12, 30, 15)
    for _ in range(20):
        begin, end = span(window, now)
        assert begin <= now < end
        assert span(window, end)[0] == end
        now = end
