"""The calendar windows of budgets, in UTC."""

import math
from datetime import UTC, datetime

from sluice.identity.budgets import Window

SECONDS: dict[Window, int] = {"minute": 60, "hour": 3_600, "day": 86_400}


def span(window: Window, now: float) -> tuple[float, float]:
    """When the window that holds `now` began and when it ends, in seconds since 1970."""
    if window == "ever":
        return 0.0, math.inf
    if window == "month":
        moment = datetime.fromtimestamp(now, UTC)
        begin = datetime(moment.year, moment.month, 1, tzinfo=UTC)
        end = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
        return begin.timestamp(), end.timestamp()
    seconds = SECONDS[window]
    begin = now - now % seconds
    return begin, begin + seconds
