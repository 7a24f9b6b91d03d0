"""When to try again: only after failures that cost nothing, after a while, and never so often that it makes things worse."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.routing.failure import class_of
from gateway.upstream.failures import TurnedAway, did_no_work
from sluice.errors import SluiceError, UpstreamTimeout
from sluice.route_settings import RetrySettings

WINDOW_SECONDS = 10
"""Over which retries are compared with requests; counted by the second."""
FEW = 3
"""So many retries in a window are always allowed: a share of few requests would be none."""
HONOURED_SECONDS = 5
"""An upstream that wants to be left alone for longer is not asked again by the same request."""


class RetryBudget:
    """Retries as a share of requests in a moving window, so that they cannot become a storm (as Finagle's and Envoy's).

    Args:
        share: 0 allows none at all.
        clock: in seconds.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._slots = [[-1, 0, 0] for _ in range(WINDOW_SECONDS)]  # second, requests, retries

    def deposit(self) -> None:
        """Count a request."""
        self._slot()[1] += 1

    def withdraw(self) -> bool:
        """Take leave for one retry."""
        slot = self._slot()
        oldest = slot[0] - WINDOW_SECONDS
        current = [entry for entry in self._slots if entry[0] > oldest]
        requests, retries = sum(entry[1] for entry in current), sum(entry[2] for entry in current)
        if not self._share or retries >= max(FEW, self._share * requests):
            return False
        slot[2] += 1
        return True

    def _slot(self) -> list[int]:
        second = int(self._clock())
        slot = self._slots[second % WINDOW_SECONDS]
        if slot[0] != second:
            slot[:] = [second, 0, 0]
        return slot


@dataclass(slots=True)
class Retries:
    """A route's retries.

    Attributes:
        taken: retries so far; `refused`: those that the budget did not allow.
    """

    settings: RetrySettings
    budget: RetryBudget
    taken: int = 0
    refused: int = 0

    def take(self) -> bool:
        """Whether the budget allows one more."""
        if self.budget.withdraw():
            self.taken += 1
            return True
        self.refused += 1
        return False


def may_retry(error: SluiceError, settings: RetrySettings) -> bool:
    """Whether another attempt within the route can help and does no harm."""
    if class_of(error) not in ("unavailable", "rate_limited"):
        return False
    return did_no_work(error) or (settings.after_work and not isinstance(error, UpstreamTimeout))


def wait_before(
    number: int, error: SluiceError, settings: RetrySettings, draw: Callable[[], float] = random.random
) -> float | None:
    """Seconds to wait before the same upstream is asked again, for the `number`th time; None: it should not be.

    Exponential with full jitter (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/),
    and not before the upstream said.
    """
    asked = _seconds(error.retry_after)
    if isinstance(error, TurnedAway) or asked > HONOURED_SECONDS:
        return None
    return max(asked, draw() * settings.backoff_seconds * 2 ** (number - 1))


def _seconds(retry_after: bytes | None) -> float:
    """What a Retry-After header says in seconds; a date there is rare, and as good as a long time."""
    if retry_after is None:
        return 0
    return int(retry_after) if retry_after.isdigit() and len(retry_after) < 10 else HONOURED_SECONDS + 1
