"""Reconciling what killed processes had leased, from their journals.

A call that has a usage record is charged what that says. One without was under way when its process died: it gets a record
and is charged all that it held, for nobody knows how far its upstream came. One that had not begun is charged nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from gateway.metering.lease_journal import LeaseJournal, OpenLease, read_leases
from gateway.usage import Journal, UsageRecord, UsageWriter
from gateway.usage.journal import Segment
from gateway.usage.record import UsageRow, insert

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often a process looks whether another has died."""
ROWS = 500
"""Requests of one question to the database."""

Charges = Mapping[str, tuple[int, int]]
"""Tokens and money by request."""


class LeaseRecovery:
    """Looks when the gateway starts and every few seconds: what dies beside others is recovered by those.

    Args:
        settle: tells the ledger, where it outlives processes.
    """

    def __init__(
        self,
        journal: LeaseJournal,
        usage_journal: Journal,
        usage_writer: UsageWriter,
        engine: Engine,
        settle: Callable[[Charges], Awaitable[None]] | None,
    ) -> None:
        self._journal = journal
        self._usage_journal = usage_journal
        self._usage_writer = usage_writer
        self._engine = engine
        self._settle = settle
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Recover what is there, and look on in the background."""
        await self.recover()
        self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def recover(self) -> None:
        """Reconcile what dead processes left; what cannot be yet is left for the next time."""
        with ExitStack() as held:
            orphans = await asyncio.to_thread(self._journal.orphans)
            for _, segment in orphans:
                held.callback(segment.close)
            # What was recorded before the end comes first; else a call would have the wrong record.
            if not orphans or not await self._usage_writer.recover():
                return
            for owner, segment in orphans:
                if self._usage_journal.is_gone(owner):  # else another process is still writing what it found
                    charges = await asyncio.to_thread(self._reconcile, segment)
                    if self._settle is not None:
                        await self._settle(charges)
                    segment.remove()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.recover()
            except Exception as error:  # whatever it was: the files are still there the next time
                log.warning("Calls of a killed process cannot be reconciled yet: %s", error)

    def _reconcile(self, segment: Segment) -> Charges:
        """Give every call that was made a record; what each call of the file is charged."""
        leases = read_leases(segment)
        charges = self._recorded(list(leases))
        lost = [lease for lease in leases.values() if lease.key_id and lease.request_id not in charges]
        if lost:
            insert(self._engine, [_record(lease) for lease in lost])
            log.warning("%d calls were under way in a process that was killed; they are charged in full.", len(lost))
        charged = {lease.request_id: (lease.tokens, lease.money) for lease in leases.values()} | charges
        for lease in leases.values():
            if lease.attempt:
                tokens, money = charged[lease.request_id]
                charged[lease.attempt] = (tokens - lease.failed_tokens, money - lease.failed_money)
        return charged

    def _recorded(self, request_ids: list[str]) -> dict[str, tuple[int, int]]:
        columns = (col(UsageRow.request_id), col(UsageRow.charged_tokens), col(UsageRow.cost))
        found: dict[str, tuple[int, int]] = {}
        with Session(self._engine) as session:
            for start in range(0, len(request_ids), ROWS):
                asked = request_ids[start : start + ROWS]
                for request_id, tokens, cost in session.exec(select(*columns).where(columns[0].in_(asked))):
                    found[request_id] = (tokens, cost)
        return found


def _record(lease: OpenLease) -> UsageRecord:
    return UsageRecord(
        lease.request_id, lease.key_id, lease.route, lease.endpoint, 500, "gateway_lost", False, 0, 0, 0, lease.at, 0.0,
        None, charged_tokens=lease.tokens, cost=lease.money,
    )  # fmt: skip
