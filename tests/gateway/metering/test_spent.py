"""What was spent already: in the database, in the journal, at the edges of a window."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, event

from gateway.metering.ledger import Ledger
from gateway.metering.spent import SpentReader, charged_since
from gateway.usage import Journal, UsageRecord, UsageWriter
from gateway.usage.record import insert
from sluice.database import connect
from sluice.errors import StateUnavailable
from sluice.identity import Budget
from sluice.settings import UsageSettings

MINUTE = 60_000_000.0
BUDGETS = (Budget("k/minute", "k", 1_000, "minute"), Budget("k/ever", "k", 9_000, "ever"))
RECORD = UsageRecord("r", "k", "m", "chat", 200, None, False, 1, 0, 1, MINUTE + 1, 500.0, None, 100)


def records(*starts: float) -> list[UsageRecord]:
    return [msgspec.structs.replace(RECORD, request_id=str(start), started_at=start) for start in starts]


@asynccontextmanager
async def reading(engine: Engine, folder: Path) -> AsyncIterator[tuple[SpentReader, Ledger, UsageWriter]]:
    """A writer that flushes by itself once in a while only."""
    ledger = Ledger()
    writer = UsageWriter(engine, Journal(folder, 1 << 16), UsageSettings(flush_seconds=600))
    await writer.start()
    try:
        yield SpentReader(ledger, engine, writer), ledger, writer
    finally:
        await writer.stop()


async def test_database_and_journal_count_each_in_its_window(engine: Engine, tmp_path: Path) -> None:
    insert(engine, [*records(MINUTE - 3_600, MINUTE + 1), msgspec.structs.replace(RECORD, request_id="x", key_id="y")])
    async with reading(engine, tmp_path / "journal") as (reader, ledger, writer):
        writer.record(records(MINUTE + 2)[0])
        await reader.open(BUDGETS, MINUTE + 3)
        assert ledger.available(BUDGETS[:1], MINUTE + 3) == 800
        assert ledger.available(BUDGETS[1:], MINUTE + 3) == 8_700


async def test_what_a_killed_gateway_left_counts(engine: Engine, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", 1 << 16)
    UsageWriter(engine, journal, UsageSettings()).record(records(MINUTE + 1)[0])
    journal.close()
    async with reading(engine, tmp_path / "journal") as (reader, ledger, _):
        await reader.open(BUDGETS, MINUTE + 3)
        assert ledger.available(BUDGETS, MINUTE + 3) == 900


def test_a_request_that_began_shortly_before_a_window_and_ended_in_it_counts(engine: Engine) -> None:
    insert(engine, records(MINUTE - 0.4, MINUTE - 0.6, MINUTE - 200))
    assert charged_since(engine, "k", MINUTE) == 100
    assert charged_since(engine, "k", 0.0) == 300


async def test_requests_that_come_at_once_share_one_reading(engine: Engine, tmp_path: Path) -> None:
    statements: list[str] = []
    async with reading(engine, tmp_path / "journal") as (reader, ledger, _):
        event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        first = asyncio.create_task(reader.open(BUDGETS, MINUTE))
        others = [asyncio.create_task(reader.open(BUDGETS, MINUTE)) for _ in range(20)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(*others)
        assert ledger.available(BUDGETS, MINUTE) == 1_000
        assert len([statement for statement in statements if "usage_record" in statement]) == len(BUDGETS)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_lost_database_opens_nothing_and_the_next_request_tries_again(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with engine.connect() as holder:
        async with reading(connect(f"{database_url}?timeout=0.01"), tmp_path / "journal") as (reader, ledger, writer):
            holder.exec_driver_sql("BEGIN IMMEDIATE")
            writer.record(records(MINUTE + 1)[0])
            with pytest.raises(StateUnavailable, match="Budgets cannot be checked"):
                await reader.open(BUDGETS, MINUTE + 3)
            assert ledger.account(BUDGETS[0], MINUTE + 3) is None
            holder.rollback()
            async with asyncio.timeout(60):
                await reader.open(BUDGETS, MINUTE + 3)
            assert ledger.available(BUDGETS, MINUTE + 3) == 900
