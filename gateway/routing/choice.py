"""Which of a route's upstreams a request goes to: canaries by key, the others by weight."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

from gateway.routing.target import Target


@dataclass(frozen=True, slots=True)
class Chance:
    """An upstream with its part of the requests: a weight, or percent of the keys."""

    target: Target
    weight: float
    canary: float | None = None


class Choice:
    """Draws an upstream.

    Args:
        draw: a number from 0 to below 1.
    """

    def __init__(self, route: str, chances: Sequence[Chance], draw: Callable[[], float] = random.random) -> None:
        self._route = route
        self._weighted = [(one.target, one.weight) for one in chances if one.canary is None]
        self._canaries = [(one.target, one.canary) for one in chances if one.canary is not None]
        self._draw = draw

    def pick(self, key: str, usable: Callable[[Target], bool]) -> Target | None:
        """An upstream for a request of this key; None where none can be used.

        A key stays with its canary; when that cannot be used, or nothing else can, the other side answers.
        """
        canary = self._canary_of(key) if self._canaries else None
        if canary is not None and usable(canary):
            return canary
        return self._drawn(self._weighted, usable) or self._drawn(self._canaries, usable)

    def _canary_of(self, key: str) -> Target | None:
        point = crc32(f"{self._route}:{key}".encode()) % 10_000 / 100
        for target, share in self._canaries:
            if point < share:
                return target
            point -= share
        return None

    def _drawn(self, chances: Sequence[tuple[Target, float]], usable: Callable[[Target], bool]) -> Target | None:
        if len(chances) == 1 and chances[0][1]:
            return chances[0][0] if usable(chances[0][0]) else None
        possible = [(target, weight) for target, weight in chances if weight and usable(target)]
        point = self._draw() * sum(weight for _, weight in possible)
        for target, weight in possible:
            if point < weight:
                return target
            point -= weight
        return possible[-1][0] if possible else None  # where rounding left a little
