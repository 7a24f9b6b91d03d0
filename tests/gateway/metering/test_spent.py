"""What was spent already: in the database, in the journal, at the edges of a window."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, event

from gateway.metering.memory_ledger import MemoryLedger
from gateway.metering.spent import SpentReader, charged_since
from gateway.usage import Journal, UsageRecord, UsageWriter
from gateway.usage.record import insert
from sluice.database import connect
from sluice.errors import StateUnavailable
from sluice.identity import Budget, create_key, create_scope
from sluice.identity.budgets import Unit
from sluice.settings import UsageSettings

MINUTE = 60_000_000.0
BUDGETS = (Budget("key:k/tokens/minute", "key:k", 1_000, "minute"), Budget("key:k/tokens/ever", "key:k", 9_000, "ever"))
RECORD = UsageRecord("r", "k", "m", "chat", 200, None, False, 1, 0, 1, MINUTE + 1, 500.0, None, 100)


def records(*starts: float) -> list[UsageRecord]:
    return [msgspec.structs.replace(RECORD, request_id=str(start), started_at=start) for start in starts]


@asynccontextmanager
async def reading(engine: Engine, folder: Path) -> AsyncIterator[tuple[SpentReader, MemoryLedger, UsageWriter]]:
    """A writer that flushes by itself once in a while only."""
    ledger = MemoryLedger(lambda: MINUTE + 3)
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
        await reader.open(BUDGETS)
        assert [await ledger.used(budget) for budget in BUDGETS] == [(200, 0), (300, 0)]


async def test_what_a_killed_gateway_left_counts(engine: Engine, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", 1 << 16)
    UsageWriter(engine, journal, UsageSettings()).record(records(MINUTE + 1)[0])
    journal.close()
    async with reading(engine, tmp_path / "journal") as (reader, ledger, _):
        await reader.open(BUDGETS)
        assert await ledger.used(BUDGETS[0]) == (100, 0)


def test_a_request_that_began_shortly_before_a_window_and_ended_in_it_counts(engine: Engine) -> None:
    insert(engine, records(MINUTE - 0.4, MINUTE - 0.6, MINUTE - 200))
    assert charged_since(engine, BUDGETS[0], MINUTE) == 100
    assert charged_since(engine, BUDGETS[0], 0.0) == 300


def test_teams_models_and_money_have_sums_of_their_own(engine: Engine) -> None:
    create_scope(engine, "organisation", "acme", by="root")
    create_scope(engine, "team", "search", parent="organisation:acme", by="root")
    inner, _ = create_key(engine, owner="ada", scope="team:search")
    outer, _ = create_key(engine, owner="bob", scope="organisation:acme")
    rows = [("1", inner.id, "m", 10, 7), ("2", outer.id, "m", 20, 8), ("3", outer.id, "other", 40, 9)]
    insert(
        engine,
        [
            msgspec.structs.replace(RECORD, request_id=id_, key_id=key, route=route, charged_tokens=tokens, cost=cost)
            for id_, key, route, tokens, cost in rows
        ],
    )

    def spent(scope: str, unit: Unit = "tokens") -> int:
        return charged_since(engine, Budget("b", scope, 1, "ever", unit), 0.0)

    assert [spent(scope) for scope in ("organisation:acme", "team:search", "model:m", "team:none")] == [70, 10, 30, 0]
    assert spent("organisation:acme", "money") == 24


async def test_requests_that_come_at_once_share_one_reading(engine: Engine, tmp_path: Path) -> None:
    statements: list[str] = []
    async with reading(engine, tmp_path / "journal") as (reader, ledger, _):
        event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        first = asyncio.create_task(reader.open(BUDGETS))
        others = [asyncio.create_task(reader.open(BUDGETS)) for _ in range(20)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(*others)
        assert await ledger.used(BUDGETS[0]) == (0, 0)
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
                await reader.open(BUDGETS)
            assert await ledger.used(BUDGETS[0]) is None
            holder.rollback()
            async with asyncio.timeout(60):
                await reader.open(BUDGETS)
            assert await ledger.used(BUDGETS[0]) == (100, 0)
