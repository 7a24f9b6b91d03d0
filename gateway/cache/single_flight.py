"""Identical requests at one time: the first goes upstream, the others wait for what it gets."""

import asyncio
from enum import Enum
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Turn(Enum):
    """What a request that has waited in vain does now: `LEAD` those that still wait, or go on `ALONE`."""

    LEAD = "lead"
    ALONE = "alone"


class Flight(Generic[Result]):
    """One request on its way upstream, and those that wait for it. Whoever leads must `land` or `leave`, once."""

    __slots__ = ("_flights", "_key", "_waiting")

    def __init__(self, flights: "dict[bytes, Flight[Result]]", key: bytes) -> None:
        self._flights = flights
        self._key = key
        self._waiting: list[asyncio.Future[Result | Turn]] = []

    async def follow(self, seconds: float) -> Result | Turn:
        """What the leader lands with; `LEAD` where it left and this one is next; `ALONE` where it got nothing to share
        or takes longer than `seconds`."""
        waiting: asyncio.Future[Result | Turn] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await asyncio.wait((waiting,), timeout=seconds)
        except asyncio.CancelledError:
            if waiting.done() and waiting.result() is Turn.LEAD:  # it left before it knew that it leads
                self.leave()
            raise
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        return waiting.result() if waiting.done() else Turn.ALONE

    def land(self, result: Result | None) -> None:
        """End it: all that wait get the result, or, without one, each goes on alone."""
        self._end()
        for waiting in self._waiting:
            waiting.set_result(Turn.ALONE if result is None else result)
        self._waiting.clear()

    def leave(self) -> None:
        """The leader's client is gone: the one that has waited longest leads now."""
        if self._waiting:
            self._waiting.pop(0).set_result(Turn.LEAD)
        else:
            self._end()

    def _end(self) -> None:
        if self._flights.get(self._key) is self:
            del self._flights[self._key]


class SingleFlight(Generic[Result]):
    """All flights of one event loop."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight[Result]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def find(self, key: bytes) -> Flight[Result] | None:
        """The flight that a request of this key may follow."""
        return self._flights.get(key)

    def begin(self, key: bytes) -> Flight[Result]:
        """A new one, which the caller leads."""
        flight = self._flights[key] = Flight(self._flights, key)
        return flight
