"""What a key has been charged already, from its usage records: read once for each window, off the event loop."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from gateway.budgets.ledger import Ledger
from gateway.budgets.window import span
from gateway.usage import UsageWriter
from gateway.usage.record import UsageRow
from sluice.errors import StateUnavailable
from sluice.identity import Budget

LEAD_SECONDS = 120
"""A call is leased at most this long after its record's `started_at`: its body has to arrive first, and be checked."""


class SpentReader:
    """Opens the accounts of budgets in the ledger; requests of one key that come at once share one reading."""

    def __init__(self, ledger: Ledger, engine: Engine, usage_writer: UsageWriter) -> None:
        self._ledger = ledger
        self._engine = engine
        self._usage_writer = usage_writer
        self._reading: dict[str, asyncio.Task[None]] = {}

    async def open(self, budgets: Sequence[Budget], now: float) -> None:
        """Open the accounts that are not open yet.

        Raises:
            StateUnavailable: the database cannot be used, so nobody knows what is left.
        """
        key = budgets[0].id
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(self._read(budgets, now))
            reading.add_done_callback(lambda _: self._reading.pop(key))
        await asyncio.shield(reading)

    async def _read(self, budgets: Sequence[Budget], now: float) -> None:
        # Records of this process that are still in the journal, and those that a killed one left there, count too.
        if not await self._usage_writer.flush():
            raise StateUnavailable(
                "Budgets cannot be checked: the database is lost.", fix="Send the request again later."
            )
        for budget in budgets:
            if self._ledger.account(budget, now) is None:
                begin, ends = span(budget.window, now)
                spent = await asyncio.to_thread(charged_since, self._engine, budget.scope_id, begin)
                self._ledger.open(budget, spent, ends, now)


def charged_since(engine: Engine, key_id: str, begin: float) -> int:
    """Tokens charged to a key in the window that began at `begin`.

    A lease belongs to the window it was taken in, which the record does not tell where the request began shortly before
    the window: such a record counts if it ended in the window, so that a restart never makes a budget larger.
    """
    row = UsageRow
    ended = col(row.started_at) + col(row.duration_ms) / 1000
    chosen = select(func.coalesce(func.sum(col(row.charged_tokens)), 0)).where(
        row.key_id == key_id, col(row.started_at) >= begin - LEAD_SECONDS, ended >= begin
    )
    with Session(engine) as session:
        return int(session.exec(chosen).one())
