"""The ledger that several gateway workers share, in Redis: one script to lease, one to settle.

The scripts take the time from the gateway, whose clock also says which window it is. Clocks that differ do no harm: a rate
drains and a window ends by the clock that is ahead, once; a lease that is taken for a dead process's is charged in full
until its settlement corrects that.

A call waits for its lease and for nothing else. What it used is sent behind it; while Redis is lost, kept and sent later.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import hiredis
import msgspec

from gateway.metering.lease import MOST_TOKENS, Ask, Lease
from gateway.metering.lease_journal import LeaseJournal
from gateway.metering.plan import Plan
from gateway.metering.redis_accounts import (
    Accounts,
    Charge,
    Held,
    Opening,
    accounts_of,
    encode,
    lease_command,
    whole,
)
from gateway.metering.redis_lease import RedisLease, lease_of, refusal_of
from gateway.metering.redis_link import RedisLink
from gateway.metering.redis_pipe import RedisPipe, packed
from gateway.metering.redis_scripts import OPEN, RESTORE
from gateway.metrics import Gauge
from sluice.errors import SEND_AGAIN, StateUnavailable
from sluice.identity import Budget
from sluice.identity.budgets import MOST
from sluice.settings import RedisSettings

log = logging.getLogger(__name__)

MOST_UNSENT = 100_000
"""Settlements kept while Redis is lost, some 30 MB; calls beyond are charged in full when their leases expire."""
PASSING = ("NOSCRIPT", "OOM", "READONLY", "MOVED", "LOADING", "NOPERM", "NOAUTH", "MISCONF", "BUSY", "MASTERDOWN")
"""Refusals of another moment or another server: what was refused is sent again."""

_decode = msgspec.msgpack.Decoder(list[Any]).decode


@dataclass(slots=True)
class Settlement:
    """What is to be booked.

    Attributes:
        unknown: the lease that Redis has to be told of first.
        unsure: Redis may not have the lease yet, and must not take it any more.
    """

    request_id: str
    tokens: int
    money: int
    unknown: RedisLease | None = None
    unsure: bool = False


class RedisLedger:
    """Implements `Ledger`.

    Args:
        flush: writes the usage records of this process into the database.

    Attributes:
        dropped: settlements that were too many to be kept while Redis was lost, or that it refused for good.
    """

    def __init__(
        self,
        settings: RedisSettings,
        journal: LeaseJournal,
        flush: Callable[[], Awaitable[bool]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.dropped = 0
        self._settings = settings
        self._journal = journal
        self._link = RedisLink(settings, flush, self._entered, self._renew)
        self._under_way: dict[str, RedisLease] = {}
        self._unsent: deque[Settlement] = deque()

    @property
    def lost(self) -> bool:
        """Whether budgets cannot be counted at the moment."""
        return self._link.pipe is None or self._link.pipe.lost.done()

    def gauges(self) -> list[Gauge]:
        """What an operator watches."""
        return [
            ("sluice_redis_lost", "1 while budgets cannot be counted in Redis.", lambda: self.lost),
            ("sluice_redis_unsent", "Calls to be settled when Redis is back.", lambda: len(self._unsent)),
            ("sluice_redis_dropped", "Calls that could not be settled in Redis.", lambda: self.dropped),
        ]

    async def start(self) -> None:
        """Connect to Redis.

        Raises:
            StateUnavailable: it refuses us, for a wrong password say. One that does not answer fails requests only.
        """
        await self._link.start()

    async def lease(self, plan: Plan, ask: Ask) -> Lease:
        now = self.clock()
        accounts = self._accounts(plan, now)
        pipe = self._link.pipe
        if pipe is None:
            return self._uncounted(plan, accounts, ask, "Redis is lost")
        if plan.budgets:
            self._journal.intend(ask.request_id)
        try:
            command = lease_command(plan, accounts, ask, now, now + self._settings.lease_seconds)
            reply = _decode(await pipe.ask_packed(command))
        except asyncio.CancelledError:
            self._settle(Settlement(ask.request_id, 0, 0, unsure=True))
            raise
        except (OSError, StateUnavailable) as error:
            if isinstance(error, StateUnavailable):
                self._refused(error)
            if self._refuses(plan):  # else it is settled like all others
                self._settle(Settlement(ask.request_id, 0, 0, unsure=True))
            return self._uncounted(plan, accounts, ask, "Redis is lost")
        if reply[0] == "leased":
            lease = self._under_way[ask.request_id] = lease_of(plan, accounts, ask, reply, self._book)
            return lease
        self._journal.forget(ask.request_id)
        if reply[0] in ("rebuilding", "epoch", "cancelled"):
            if reply[0] == "epoch":
                pipe.close()
            return self._uncounted(plan, accounts, ask, "Redis lost what it knew, which is read again")
        raise refusal_of(plan, accounts, ask, now, reply)

    async def open(self, budget: Budget, spent: int, ends: float) -> None:
        keys, now = self._link.keys, self.clock()
        opening = Opening(now, now - self._settings.rebuild_seconds, spent, whole(ends))
        account = keys.account(budget)
        command = OPEN.call((keys.where, keys.rebuilding, account, account + b":late"), keys.epoch, encode(opening))
        if not await self._ask(command):
            raise _lost("Redis lost what it knew")

    async def used(self, budget: Budget) -> tuple[int, int] | None:
        account = self._link.keys.account(budget)
        ends, spent, leased = await self._ask(packed("HMGET", account, "ends", "spent", "leased"))
        if spent is None:
            return None
        return (int(spent), int(leased)) if self.clock() < float(ends) else (0, 0)

    async def close(self) -> None:
        """Wait until what was settled has arrived, and end the connection."""
        await self._arrived()
        await self._link.stop()
        if self._unsent:
            log.warning("%d calls are settled in Redis by the gateway's next start: it is lost.", len(self._unsent))

    async def settle(self, charges: Mapping[str, tuple[int, int]]) -> None:
        """Book what calls used whose process is gone: tokens and money by request."""
        for request_id, (tokens, money) in charges.items():
            self._settle(Settlement(request_id, tokens, money))
        await self._arrived()

    def _accounts(self, plan: Plan, now: float) -> Accounts:
        accounts: Accounts | None = plan.opened
        if accounts is None or now >= accounts.until or accounts.keys is not self._link.keys:
            accounts = plan.opened = accounts_of(plan, self._link.keys, now)
        return accounts

    def _refuses(self, plan: Plan) -> bool:
        return plan.hard and self._settings.when_lost == "closed"

    def _uncounted(self, plan: Plan, accounts: Accounts, ask: Ask, why: str) -> RedisLease:
        """A lease that Redis is told of when it is back.

        Raises:
            StateUnavailable: something must not be let through uncounted.
        """
        if self._refuses(plan):
            raise _lost(why)
        tokens = min(ask.tokens(ask.completion), MOST_TOKENS)
        money = 0 if plan.price is None else min(plan.price.cost(ask.prompt, 0, ask.choices * ask.completion), MOST)
        lease = RedisLease(plan, tokens, money, ask.completion, ask.request_id, accounts, self._book, uncounted=True)
        self._under_way[ask.request_id] = lease
        if self._link.pipe is not None:
            self._restore(self._link.pipe, lease)
        return lease

    def _entered(self, pipe: RedisPipe, is_new: bool) -> None:
        """Tell Redis what it does not know. In a new epoch what has ended counts by its record in the database."""
        for lease in self._under_way.values():
            self._restore(pipe, lease)
        self._renew(pipe)
        unsent, self._unsent = self._unsent, deque()
        for settlement in unsent:
            if is_new:
                self._journal.forget(settlement.request_id)
            else:
                self._send(pipe, settlement)

    def _restore(self, pipe: RedisPipe, lease: RedisLease) -> None:
        now = self.clock()
        accounts, expires = self._accounts(lease.plan, now), now + self._settings.lease_seconds
        held = Held(lease.request_id, now, expires, lease.tokens, lease.money)
        keys = (*accounts.shared_keys, accounts.keys.lease(lease.request_id))
        pipe.send(RESTORE.call(keys, accounts.keys.epoch, accounts.spec, encode(held)), _ignore)

    def _renew(self, pipe: RedisPipe) -> None:
        expires = self.clock() + self._settings.lease_seconds
        if renewed := [part for request_id in self._under_way for part in (expires, request_id)]:
            pipe.send(packed("ZADD", self._link.keys.expiries, "XX", *renewed), _ignore)

    def _book(self, lease: RedisLease, tokens: int, money: int) -> None:
        del self._under_way[lease.request_id]
        self._settle(Settlement(lease.request_id, tokens, money, lease if lease.uncounted else None))

    def _settle(self, settlement: Settlement) -> None:
        if self._link.pipe is None:
            self._keep(settlement)
        else:
            self._send(self._link.pipe, settlement)

    def _send(self, pipe: RedisPipe, settlement: Settlement) -> None:
        if settlement.unknown is not None:
            self._restore(pipe, settlement.unknown)
        charge = Charge(self.clock(), settlement.tokens, settlement.money, settlement.unsure)
        command = self._link.keys.settle_command(settlement.request_id, charge)
        pipe.send(command, partial(self._settled, settlement))

    def _settled(self, settlement: Settlement, reply: Any) -> None:
        if not isinstance(reply, Exception):
            self._journal.forget(settlement.request_id)
        elif isinstance(reply, hiredis.ReplyError) and not self._refused(reply):
            self._drop(settlement)
        else:
            self._keep(settlement)

    def _refused(self, error: Exception) -> bool:
        """Whether a refusal may pass; then everything begins anew with another connection."""
        log.error("Redis did not count a call: %s", error)
        passes = any(kind in str(error) for kind in PASSING)
        if passes and self._link.pipe is not None:
            self._link.pipe.close()
        return passes

    def _keep(self, settlement: Settlement) -> None:
        if len(self._unsent) < MOST_UNSENT:
            self._unsent.append(settlement)
            self._journal.intend(settlement.request_id)  # should this process die too, its record tells
        else:
            self._drop(settlement)

    def _drop(self, settlement: Settlement) -> None:
        self.dropped += 1
        self._journal.forget(settlement.request_id)

    async def _arrived(self) -> None:
        """Replies come in order: with this one, all before it are there."""
        if self._link.pipe is not None:
            await asyncio.gather(self._link.pipe.ask("PING"), return_exceptions=True)

    async def _ask(self, command: bytes) -> Any:
        try:
            if self._link.pipe is not None:
                return await self._link.pipe.ask_packed(command)
        except OSError:
            pass
        raise _lost("Redis is lost")


def _lost(why: str) -> StateUnavailable:
    error = StateUnavailable(f"Budgets cannot be checked: {why}.", fix=SEND_AGAIN)
    error.retry_after = b"1"
    return error


def _ignore(_: Any) -> None:
    """For what the next connection repeats."""
