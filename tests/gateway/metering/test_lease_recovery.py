from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from gateway.metering import lease_recovery
from gateway.metering.lease_journal import LeaseJournal, OpenLease
from gateway.metering.lease_recovery import Charges, LeaseRecovery
from gateway.usage import Journal, UsageRecord, UsageWriter
from gateway.usage.record import UsageRow, encode
from sluice.settings import UsageSettings


class Deployment:
    """A home folder and a database, with processes that died."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.engine = engine
        self.usage = folder / "journal"
        self.leases = folder / "leases"
        self.settled: list[Charges] = []

    def die(self, *lines: OpenLease, records: tuple[str, ...] = ()) -> str:
        """A process that had leased, and recorded what it had ended; the owner of what it leaves."""
        usage = Journal(self.usage, 1_000)
        for request_id in records:
            usage.append(encode(UsageRecord(request_id, "k", "m", "chat", 200, None, True, 5, 0, 5, 1.0, 2.0, 3.0, 10)))
        usage.close()
        journal = LeaseJournal(self.leases, usage.owner)
        for line in lines:
            journal.add(line)
        journal.close()
        return usage.owner

    @asynccontextmanager
    async def started(self, *, writer_engine: Engine | None = None) -> AsyncIterator[LeaseRecovery]:
        async def settle(charges: Charges) -> None:
            self.settled.append(dict(charges))

        usage = Journal(self.usage, 1_000)
        writer = UsageWriter(writer_engine or self.engine, usage, UsageSettings())
        journal = LeaseJournal(self.leases, usage.owner)
        recovery = LeaseRecovery(journal, usage, writer, self.engine, settle)
        await writer.start()
        await recovery.start()
        yield recovery
        await recovery.stop()
        await writer.stop()
        journal.close()

    def rows(self) -> dict[str, UsageRow]:
        with Session(self.engine) as session:
            return {row.request_id: row for row in session.exec(select(UsageRow))}


@pytest.fixture
def deployment(tmp_path: Path, engine: Engine) -> Deployment:
    return Deployment(tmp_path, engine)


def lease(request_id: str, tokens: int = 120) -> OpenLease:
    return OpenLease(request_id, "k", "m", "chat", tokens, 7, 1_764_417_600.5)


async def test_a_call_without_a_record_gets_one_and_is_charged_in_full(deployment: Deployment) -> None:
    deployment.die(lease("req-lost"), lease("req-ended"), OpenLease("req-asked"), records=("req-ended",))
    async with deployment.started():
        pass
    rows = deployment.rows()
    assert rows.keys() == {"req-lost", "req-ended"}
    lost = rows["req-lost"]
    assert (lost.status, lost.error, lost.charged_tokens, lost.cost) == (500, "gateway_lost", 120, 7)
    assert (lost.key_id, lost.route, lost.endpoint, lost.started_at) == ("k", "m", "chat", 1_764_417_600.5)
    assert rows["req-ended"].charged_tokens == 10
    assert deployment.settled == [{"req-lost": (120, 7), "req-ended": (10, 0), "req-asked": (0, 0)}]
    assert list(deployment.leases.iterdir()) == []


async def test_a_call_that_died_in_another_attempt_is_charged_for_all_of_them(deployment: Deployment) -> None:
    whole = [
        OpenLease(
            request_id, "k", "m", "chat", 320, 17, 1.5, attempt=f"{request_id}+", failed_tokens=200, failed_money=10
        )
        for request_id in ("req-1", "req-2")
    ]
    deployment.die(lease("req-1"), OpenLease("req-1+"), whole[0], whole[1], OpenLease("req-2+"), records=("req-2",))
    async with deployment.started():
        pass
    assert deployment.rows()["req-1"].charged_tokens == 320
    [charges] = deployment.settled
    assert charges["req-1+"] == (120, 7), "what its lease in the ledger holds beside what is booked"
    assert charges["req-2+"] == (10 - 200, 0 - 10)


async def test_what_dies_beside_a_living_process_is_recovered_by_it(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_recovery, "LOOK_SECONDS", 0.01)
    async with deployment.started() as recovery:
        deployment.die(lease("req-1"), lease("req-2"), records=("req-1",))
        await recovery.recover()
        rows = deployment.rows()
        assert (rows["req-1"].error, rows["req-2"].error) == (None, "gateway_lost")


async def test_a_record_that_another_process_is_still_writing_comes_first(deployment: Deployment) -> None:
    """Else a call that ended would get the record of one that was lost, and be charged in full."""
    owner = deployment.die(lease("req-1"), records=("req-1",))
    claimed = Journal(deployment.usage, 1).orphans()
    next(claimed)
    async with deployment.started() as recovery:
        assert deployment.rows() == {}
        assert len(list(deployment.leases.iterdir())) == 1
        claimed.close()  # it dies as well
        await recovery.recover()
        assert deployment.rows()["req-1"].error is None
        assert not list(deployment.usage.glob(f"*{owner}*"))


async def test_without_leases_nothing_is_asked_of_the_database(deployment: Deployment) -> None:
    async with deployment.started() as recovery:
        deployment.engine.dispose()
        await recovery.recover()
        assert deployment.settled == []
