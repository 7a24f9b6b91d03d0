"""A circuit breaker: an upstream that fails is left alone for a while, then tried with a few requests.

closed ──failures──▶ open ──open_seconds──▶ half-open ──probes succeed──▶ closed
                      ▲                         │
                      └──────── one fails ──────┘
"""

import time
from collections import deque
from collections.abc import Callable
from math import ceil
from typing import Literal

from gateway.upstream.failures import CircuitOpen
from sluice.route_settings import BreakerSettings

State = Literal["closed", "open", "half_open"]


class Breaker:
    """The state of one upstream, shared by all routes that use it.

    Each request asks `enter` for a permit and brings it back with one of `succeeded`, `failed` and `left`, as soon as
    that is known of the answer's begin; how the answer then ends is told by `completed` or `broke_off`. A permit counts
    only in the state it was given in: what was sent before the circuit opened says nothing of the probes.

    Args:
        clock: in seconds.
    """

    def __init__(self, upstream: str, settings: BreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.upstream = upstream
        self.state: State = "closed"
        self._settings = settings
        self._clock = clock
        self._epoch = 0
        self._failures: deque[float] = deque(maxlen=settings.failures)
        self._opened = 0.0
        self._probing = 0
        self._succeeded = 0

    @property
    def allows(self) -> bool:
        """Whether `enter` would give a permit now."""
        if self.state == "closed":
            return True
        if self.state == "open":
            return self._clock() >= self._opened + self._settings.open_seconds
        return self._probing + self._succeeded < self._settings.probes

    def enter(self) -> int:
        """A permit for one request.

        Raises:
            CircuitOpen: nothing is sent now.
        """
        if self.state != "closed":
            if not self.allows:
                raise self.refusal()
            if self.state == "open":
                self._become("half_open")
            self._probing += 1
        return self._epoch

    def refusal(self) -> CircuitOpen:
        """What to tell whom nothing is sent for."""
        waits = self._opened + self._settings.open_seconds - self._clock() if self.state == "open" else 0
        return CircuitOpen(self.upstream, max(1, ceil(waits)))

    def succeeded(self, permit: int) -> None:
        """The upstream has begun to answer."""
        if permit == self._epoch and self.state == "half_open":
            self._probing -= 1
            self._succeeded += 1
            if self._succeeded >= self._settings.probes:
                self._become("closed")

    def failed(self, permit: int) -> None:
        """The upstream has failed."""
        if permit != self._epoch:
            return
        now = self._clock()
        self._failures.append(now)
        many = len(self._failures) == self._settings.failures
        if self.state == "half_open" or (many and now - self._failures[0] <= self._settings.window_seconds):
            self._become("open")
            self._opened = now

    def completed(self) -> None:
        """An answer has come to its end: the failures before it were none in a row."""
        self._failures.clear()

    def broke_off(self) -> None:
        """The upstream has failed in an answer that had begun."""
        if self.state == "closed":
            self.failed(self._epoch)

    def left(self, permit: int) -> None:
        """Neither: the client went away, or its request was wrong."""
        if permit == self._epoch and self.state == "half_open":
            self._probing -= 1

    def _become(self, state: State) -> None:
        self.state = state
        self._epoch += 1
        self._failures.clear()
        self._probing = self._succeeded = 0
