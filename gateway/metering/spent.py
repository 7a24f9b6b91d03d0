"""What budgets have been charged already, from the usage records: read once for each window, off the event loop."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from gateway.metering.ledger import Ledger
from gateway.metering.window import span
from gateway.usage import UsageWriter
from gateway.usage.record import UsageRow
from sluice.errors import SEND_AGAIN, StateUnavailable
from sluice.identity import Budget
from sluice.identity.scopes import keys_below

LEAD_SECONDS = 120
"""A call is leased at most this long after its record's `started_at`: its body has to arrive first, and be checked."""


class SpentReader:
    """Opens the windows of budgets in the ledger; requests that want the same at once share one reading."""

    def __init__(self, ledger: Ledger, engine: Engine, usage_writer: UsageWriter) -> None:
        self._ledger = ledger
        self._engine = engine
        self._usage_writer = usage_writer
        self._reading: dict[str, asyncio.Task[None]] = {}

    async def open(self, budgets: Sequence[Budget]) -> None:
        """Open the windows of these budgets.

        Raises:
            StateUnavailable: the database cannot be used, so nobody knows what is left.
        """
        for budget in budgets:
            reading = self._reading.get(budget.id)
            if reading is None:
                reading = self._reading[budget.id] = asyncio.create_task(self._read(budget))
                reading.add_done_callback(lambda _, id_=budget.id: self._reading.pop(id_))
            await asyncio.shield(reading)

    async def _read(self, budget: Budget) -> None:
        # Records of this process that are still in the journal, and those that a killed one left there, count too.
        if not await self._usage_writer.flush():
            raise StateUnavailable("Budgets cannot be checked: the database is lost.", fix=SEND_AGAIN)
        begin, ends = span(budget.window, self._ledger.clock())
        spent = await asyncio.to_thread(charged_since, self._engine, budget, begin)
        await self._ledger.open(budget, spent, ends)


def charged_since(engine: Engine, budget: Budget, begin: float) -> int:
    """What was charged to a budget, in its unit, in the window that began at `begin`.

    A lease belongs to the window it was taken in, which the record does not tell where the request began shortly before
    the window: such a record counts if it ended in the window, so that a restart never makes a budget larger.
    """
    row = UsageRow
    amount = col(row.charged_tokens) if budget.unit == "tokens" else col(row.cost)
    ended = col(row.started_at) + col(row.duration_ms) / 1000
    kind, _, name = budget.scope.partition(":")
    if kind == "model":
        of_scope = col(row.route) == name
    elif kind == "key":
        of_scope = col(row.key_id) == name
    else:
        of_scope = col(row.key_id).in_(keys_below(budget.scope))
    chosen = select(func.coalesce(func.sum(amount), 0)).where(
        of_scope, col(row.started_at) >= begin - LEAD_SECONDS, ended >= begin
    )
    with Session(engine) as session:
        return int(session.exec(chosen).one())
