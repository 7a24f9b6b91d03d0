"""The ledger in the memory of the one gateway worker.

Nothing waits between looking and taking, which is what makes a lease atomic: the ledger belongs to one event loop.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.metering.lease import Ask, Lease, NeedsCount, Rate, RateKind, Unopened
from gateway.metering.plan import Plan
from gateway.metering.refusal import budget_refusal, limit_refusal, rate_refusal
from gateway.metering.window import span
from sluice.identity import Budget, Limit
from sluice.identity.budgets import MOST

KEPT_SECONDS = 3_600
"""How long a plan's accounts are held before they are looked up again; what nobody looked up for twice that is forgotten."""


@dataclass(slots=True)
class Window:
    """One window of one budget, in its unit; `ends` in seconds since 1970."""

    ends: float
    spent: int
    leased: int = 0


@dataclass(slots=True)
class Level:
    """How full a rate limit is: GCRA as a leaky bucket (ITU-T I.371, annex A), which drains evenly over a minute."""

    at: float
    level: float = 0.0

    def drain(self, limit: Limit, now: float) -> float:
        """How full it is now."""
        if now > self.at:
            self.level = max(0.0, self.level - (now - self.at) * limit.amount / 60)
            self.at = now
        return self.level


@dataclass(slots=True)
class Gate:
    """How many calls of a scope are under way; `at` when that was last asked for."""

    at: float
    held: int = 0


@dataclass(slots=True)
class Opened:
    """A plan's accounts, good until `until`."""

    until: float
    tokens_spent: list[tuple[Budget, Window]]
    money_spent: list[tuple[Budget, Window]]
    hard: list[tuple[Budget, Window]]
    soft: list[tuple[Budget, Window]]
    requests: list[tuple[Limit, Level]]
    tokens: list[tuple[Limit, Level]]
    gates: list[tuple[Limit, Gate]]


class MemoryLedger:
    """Implements `Ledger`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._windows: dict[str, Window] = {}
        self._levels: dict[str, Level] = {}
        self._gates: dict[str, Gate] = {}
        self._swept = 0.0

    async def lease(self, plan: Plan, ask: Ask) -> Lease:
        now = self.clock()
        opened: Opened | None = plan.opened
        if opened is None or now >= opened.until:
            opened = self._opened(plan, now)
        for limit, gate in opened.gates:
            if gate.held >= limit.amount:
                raise limit_refusal(limit, 1)
        for limit, level in opened.requests:
            if (over := level.drain(limit, now) + 1 - limit.amount) > 0:
                raise rate_refusal(limit, over, 1)
        completion, limited_by = self._fit(plan, opened, ask, now)
        tokens = ask.tokens(completion)
        money = 0 if plan.price is None else min(plan.price.cost(ask.prompt, 0, ask.choices * completion), MOST)
        return self._take(plan, opened, tokens, money, completion, limited_by)

    async def open(self, budget: Budget, spent: int, ends: float) -> None:
        self._windows.setdefault(budget.id, Window(ends, spent))

    async def used(self, budget: Budget) -> tuple[int, int] | None:
        """What is spent and what is held in the running window; None where it is not open."""
        window = self._window(budget, self.clock())
        return None if window is None else (window.spent, window.leased)

    async def close(self) -> None:
        """Nothing is to be closed."""

    def _fit(self, plan: Plan, opened: Opened, ask: Ask, now: float) -> tuple[int, Budget | Limit | None]:
        """What each answer may have, and what made that less than was asked for.

        Raises:
            SluiceError: not even one token fits, or not now.
            NeedsCount: it does not fit by the prompt's bound.
        """
        completion, limited_by = ask.completion, None
        for limit, _ in opened.tokens:  # what no waiting would let through is made shorter
            if ask.tokens(completion) > limit.amount:
                fits = _share(limit.amount, ask)
                _need_count(ask)
                if fits < 1:
                    raise limit_refusal(limit, None, ask.prompt + ask.choices)
                completion, limited_by = fits, limit
        for budget, window in opened.hard:
            room = budget.amount - window.spent - window.leased
            if budget.unit == "tokens":
                if ask.tokens(completion) <= room:
                    continue
                fits = _share(room, ask)
            else:
                assert plan.price is not None
                if plan.price.cost(ask.prompt, 0, ask.choices * completion) <= room:
                    continue
                fits = plan.price.completion_for(room, ask.prompt, ask.choices) if ask.choices else 0
            _need_count(ask)
            if fits < 1:
                error = budget_refusal(budget, window.spent, window.leased, window.ends, ask, plan.price, now)
                error.left = _left(opened.hard)
                raise error
            completion, limited_by = fits, budget
        for limit, level in opened.tokens:
            if (over := level.drain(limit, now) + ask.tokens(completion) - limit.amount) > 0:
                _need_count(ask)
                raise rate_refusal(limit, over, ask.tokens(completion))
        return completion, limited_by

    def _take(
        self, plan: Plan, opened: Opened, tokens: int, money: int, completion: int, limited_by: Budget | Limit | None
    ) -> "MemoryLease":
        lease = MemoryLease(plan, tokens, money, completion, limited_by, opened, self.clock)
        for _, window in opened.tokens_spent:
            window.leased += tokens
        for _, window in opened.money_spent:
            window.leased += money
        for budget, window in opened.soft:
            if window.spent + window.leased > budget.amount:
                lease.exceeded = budget
        for _, level in opened.requests:
            level.level += 1
        for _, level in opened.tokens:
            level.level += tokens
        for _, gate in opened.gates:
            gate.held += 1
        return lease

    def _opened(self, plan: Plan, now: float) -> Opened:
        """Look a plan's accounts up.

        Raises:
            Unopened: a budget's window is not known.
        """
        self._sweep(now)
        windows = [(budget, self._window(budget, now)) for budget in plan.budgets]
        if unknown := [budget for budget, window in windows if window is None]:
            raise Unopened(unknown)
        known = [(budget, window) for budget, window in windows if window is not None]
        opened = Opened(
            until=min((window.ends for _, window in known), default=now + KEPT_SECONDS),
            tokens_spent=[(budget, window) for budget, window in known if budget.unit == "tokens"],
            money_spent=[(budget, window) for budget, window in known if budget.unit == "money"],
            hard=[(budget, window) for budget, window in known if budget.hard],
            soft=[(budget, window) for budget, window in known if not budget.hard],
            requests=[(limit, self._level(limit, now)) for limit in plan.limits if limit.what == "requests"],
            tokens=[(limit, self._level(limit, now)) for limit in plan.limits if limit.what == "tokens"],
            gates=[(limit, self._gate(limit, now)) for limit in plan.limits if limit.what == "concurrent"],
        )
        opened.until = min(opened.until, now + KEPT_SECONDS)
        plan.opened = opened
        return opened

    def _window(self, budget: Budget, now: float) -> Window | None:
        """The running window. One that follows one known here begins empty; a clock set back reopens none."""
        window = self._windows.get(budget.id)
        if window is not None and now >= window.ends:
            window = self._windows[budget.id] = Window(span(budget.window, now)[1], spent=0)
        return window

    def _level(self, limit: Limit, now: float) -> Level:
        level = self._levels.setdefault(limit.id, Level(now))
        level.drain(limit, now)
        return level

    def _gate(self, limit: Limit, now: float) -> Gate:
        gate = self._gates.setdefault(limit.id, Gate(now))
        gate.at = now
        return gate

    def _sweep(self, now: float) -> None:
        """Forget what nobody can refer to any more; a window for as long as a request on its way may miss it."""
        if now < self._swept + KEPT_SECONDS:
            return
        self._swept = now
        since = now - 2 * KEPT_SECONDS
        self._windows = {id_: window for id_, window in self._windows.items() if since < window.ends}
        self._levels = {id_: level for id_, level in self._levels.items() if since < level.at}
        self._gates = {id_: gate for id_, gate in self._gates.items() if gate.held or since < gate.at}


class MemoryLease(Lease):
    """A lease is charged to the windows it was taken in, also when they have ended."""

    __slots__ = ("_clock", "_opened", "_settled")

    def __init__(
        self,
        plan: Plan,
        tokens: int,
        money: int,
        completion: int,
        limited_by: Budget | Limit | None,
        opened: Opened,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(plan, tokens, money, completion, limited_by)
        self._opened = opened
        self._clock = clock
        self._settled = False

    @property
    def left(self) -> int | None:
        return _left(self._opened.hard)

    def settle(self, tokens: int, money: int) -> None:
        if self._settled:
            return
        self._settled = True
        opened = self._opened
        for _, window in opened.tokens_spent:
            window.leased -= self.tokens
            window.spent += tokens
        for _, window in opened.money_spent:
            window.leased -= self.money
            window.spent += money
        if opened.tokens:
            now = self._clock()
            for limit, level in opened.tokens:
                level.level = max(0.0, level.drain(limit, now) - self.tokens + tokens)
        for _, gate in opened.gates:
            gate.held -= 1

    def rates(self) -> list[tuple[RateKind, Rate]]:
        found: list[tuple[RateKind, Rate]] = []
        if self._opened.requests:
            found.append(("requests", _tightest(self._opened.requests)))
        if self._opened.tokens:
            found.append(("tokens", _tightest(self._opened.tokens)))
        return found


def _left(hard: list[tuple[Budget, Window]]) -> int | None:
    """Tokens that the tightest budget has; None where none counts tokens."""
    left = None
    for budget, window in hard:
        if budget.unit == "tokens":
            room = budget.amount - window.spent - window.leased
            left = room if left is None or room < left else left
    return None if left is None else max(0, left)


def _tightest(levels: list[tuple[Limit, Level]]) -> Rate:
    limit, level = min(levels, key=lambda pair: pair[0].amount - pair[1].level) if len(levels) > 1 else levels[0]
    return Rate(limit.amount, max(0, int(limit.amount - level.level)), level.level * 60 / limit.amount)


def _share(room: int, ask: Ask) -> int:
    """Tokens of each answer that `room` leaves beside the prompt."""
    return (room - ask.prompt) // ask.choices if ask.choices else 0


def _need_count(ask: Ask) -> None:
    if not ask.exact:
        raise NeedsCount
