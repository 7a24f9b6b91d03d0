import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, event, text

from gateway.usage import Journal, UsageRecord, UsageWriter
from sluice.database import connect
from sluice.settings import UsageSettings
from tests.doubles.tcp_proxy import proxied

FAST = UsageSettings(flush_seconds=0.02)
RECORD = UsageRecord("r", "k", "m", "chat.completions", 200, None, True, 12, 0, 3, 1.5, 20.0, 4.0)

WRITE_UNTIL_KILLED = """
import asyncio, os, sys
from pathlib import Path
from gateway.usage import Journal, UsageRecord, UsageWriter
from sluice.database import connect
from sluice.settings import UsageSettings

async def main(url, folder, name):
    writer = UsageWriter(connect(url), Journal(Path(folder), 20_000), UsageSettings(flush_seconds=0.02))
    await writer.start()
    number = 0
    while True:
        for number in range(number, number + 20):
            request_id = f"{name}-{number}"
            writer.record(UsageRecord(request_id, "k", "m", "chat", 200, None, True, 1, 0, 2, 3.0, 4.0, None))
            os.write(1, f"{request_id}\\n".encode())
        number += 1
        await asyncio.sleep(0.002)

asyncio.run(main(*sys.argv[1:]))
"""

RECOVER = """
import asyncio, sys
from pathlib import Path
from gateway.usage import Journal, UsageWriter
from sluice.database import connect
from sluice.settings import UsageSettings

async def main(url, folder):
    writer = UsageWriter(connect(url), Journal(Path(folder), 20_000), UsageSettings())
    print("ready", flush=True)
    input()
    await writer.start()
    await writer.stop()
    print(writer.written)

asyncio.run(main(*sys.argv[1:]))
"""


def numbered(count: int, prefix: str = "r") -> list[UsageRecord]:
    return [msgspec.structs.replace(RECORD, request_id=f"{prefix}{number}") for number in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@asynccontextmanager
async def running(engine: Engine, folder: Path, segment_bytes: int = 1 << 20) -> AsyncIterator[UsageWriter]:
    writer = UsageWriter(engine, Journal(folder, segment_bytes), FAST)
    await writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def stored(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT request_id FROM usage_record")).scalars())


async def test_records_reach_the_database_in_the_background(engine: Engine, folder: Path) -> None:
    async with running(engine, folder) as writer:
        for record in numbered(100):
            writer.record(record)
        assert (writer.pending, writer.written) == (100, 0)
        await until(lambda: writer.pending == 0)
        assert len(stored(engine)) == writer.written == 100


async def test_stop_writes_what_is_pending_and_leaves_no_file(engine: Engine, folder: Path) -> None:
    async with running(engine, folder, segment_bytes=500) as writer:
        for record in numbered(100):
            writer.record(record)
    assert len(stored(engine)) == 100
    assert list(folder.iterdir()) == []


async def test_full_segments_go_while_running(engine: Engine, folder: Path) -> None:
    async with running(engine, folder, segment_bytes=500) as writer:
        for record in numbered(100):
            writer.record(record)
        await until(lambda: len(list(folder.iterdir())) == 1)
        writer.record(RECORD)
        await until(lambda: writer.written == 101)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_lost_server_loses_no_record(
    engine: Engine, database_url: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with proxied(database_url) as (proxy, url):
        async with running(connect(url), folder, segment_bytes=500) as writer:
            await _lose_and_regain(writer, proxy.cut, proxy.mend, caplog)
    assert len(stored(engine)) == 51


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_locked_file_loses_no_record(
    engine: Engine, database_url: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with engine.connect() as holder:
        async with running(connect(f"{database_url}?timeout=0.01"), folder, segment_bytes=500) as writer:
            await _lose_and_regain(
                writer, lambda: holder.exec_driver_sql("BEGIN IMMEDIATE"), lambda: holder.rollback(), caplog
            )
    assert len(stored(engine)) == 51


async def _lose_and_regain(
    writer: UsageWriter, lose: Callable[[], object], regain: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    writer.record(RECORD)
    await until(lambda: writer.pending == 0)
    lose()
    for record in numbered(50):
        writer.record(record)
    await until(lambda: "Usage records wait in the journal: The database" in caplog.text)
    await asyncio.sleep(0.2)
    assert writer.pending == 50
    regain()
    await until(lambda: writer.pending == 0 and "Usage records are written again" in caplog.text)
    assert (writer.written, writer.lost, writer.journal_failures) == (51, 0, 0)
    assert [record.levelno for record in caplog.records if "Usage records" in record.message] == [logging.WARNING] * 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_records_of_a_stop_without_database_wait_for_the_next_start(
    engine: Engine, database_url: str, folder: Path
) -> None:
    impatient = connect(f"{database_url}?timeout=0.01")
    with engine.connect() as holder:
        holder.exec_driver_sql("BEGIN IMMEDIATE")
        async with running(impatient, folder) as writer:
            for record in numbered(10):
                writer.record(record)
        async with running(impatient, folder) as writer:
            writer.record(RECORD)
            await asyncio.sleep(0.1)
            assert writer.written == 0
            holder.rollback()
            await until(lambda: writer.written == 11)
    assert len(stored(engine)) == 11
    assert list(folder.iterdir()) == []


async def test_wrong_record_holds_up_no_other(engine: Engine, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(engine, folder) as writer:
        wrong = msgspec.structs.replace(RECORD, request_id="too many", prompt_tokens=2**63)
        for record in [*numbered(5, "a"), wrong, *numbered(5, "b")]:
            writer.record(record)
        writer.record(msgspec.structs.replace(RECORD, request_id="\ud800"))
        writer.record(msgspec.structs.replace(RECORD, prompt_tokens=2**64))
        await until(lambda: writer.pending == 0)
        assert (writer.written, writer.lost) == (10, 3)
    assert len(stored(engine)) == 10
    assert "too many" in caplog.text


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_text_that_postgresql_cannot_hold_holds_up_no_other(engine: Engine, folder: Path) -> None:
    async with running(engine, folder) as writer:
        for record in [*numbered(3), msgspec.structs.replace(RECORD, route="nul\0")]:
            writer.record(record)
    assert (writer.written, writer.lost, writer.pending) == (3, 1, 0)


async def test_records_without_journal_reach_the_database(
    engine: Engine, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.touch()
    async with running(engine, folder) as writer:
        for record in numbered(20):
            writer.record(record)
        assert (writer.journal_failures, writer.pending) == (20, 20)
        await until(lambda: writer.pending == 0)
        folder.unlink()
        writer.record(RECORD)
        await until(lambda: writer.pending == 0)
        assert (writer.journal_failures, writer.written) == (20, 21)
    assert len(stored(engine)) == 21
    assert caplog.text.count("journal cannot be written") == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_memory_is_bounded_without_journal_and_database(
    engine: Engine,
    database_url: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("gateway.usage.writer.HELD_RECORDS", 5)
    folder.touch()
    with engine.connect() as holder:
        holder.exec_driver_sql("BEGIN IMMEDIATE")
        async with running(connect(f"{database_url}?timeout=0.01"), folder) as writer:
            for record in numbered(8):
                writer.record(record)
            assert (writer.pending, writer.lost) == (5, 3)
            holder.rollback()
            await until(lambda: writer.written == 5)
            holder.exec_driver_sql("BEGIN IMMEDIATE")
            writer.record(RECORD)
        assert (writer.written, writer.lost) == (5, 4)
    assert "1 usage records are lost" in caplog.text


async def test_torn_tail_is_counted(engine: Engine, folder: Path) -> None:
    journal = Journal(folder, 1 << 20)
    writer = UsageWriter(engine, journal, FAST)
    for record in numbered(3):
        writer.record(record)
    torn = b'["r3","k","m"'
    os.pwrite(journal.segments[0].descriptor, torn, journal.segments[0].size)
    journal.close()
    async with running(engine, folder) as recovering:
        assert (recovering.written, recovering.torn, recovering.pending) == (3, 1, 0)
    assert sorted(stored(engine)) == ["r0", "r1", "r2"]
    assert list(folder.iterdir()) == []


def start_writing(database_url: str, folder: Path, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITE_UNTIL_KILLED, database_url, str(folder), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def kill_after(process: subprocess.Popen[bytes], records: int) -> list[str]:
    """Kill a process that has acknowledged so many records, and return all that it did acknowledge."""
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(records)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.read().splitlines(keepends=True)
    process.wait(60)
    process.stdout.close()
    return [line.decode().strip() for line in acknowledged if line.endswith(b"\n")]


async def test_killed_processes_lose_no_acknowledged_record(engine: Engine, database_url: str, folder: Path) -> None:
    acknowledged: list[str] = []
    for name, records in (("first", 700), ("second", 2500)):
        processes = [start_writing(database_url, folder, f"{name}{number}") for number in range(2)]
        for process in processes:
            acknowledged += await asyncio.to_thread(kill_after, process, records)
    async with running(engine, folder):
        pass
    found = stored(engine)
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found)
    assert len(found) - len(acknowledged) <= 4, "each process has at most one record written but not yet acknowledged"
    assert list(folder.iterdir()) == []


def test_processes_recover_at_once_and_share_the_work(engine: Engine, database_url: str, folder: Path) -> None:
    journal = Journal(folder, 2_000)
    left = UsageWriter(engine, journal, FAST)
    for record in numbered(3000):
        left.record(record)
    journal.close()
    command = [sys.executable, "-c", RECOVER, database_url, str(folder)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    written = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert sum(written) == 3000
    assert len(stored(engine)) == 3000
    assert list(folder.iterdir()) == []


def test_recording_waits_for_neither_database_nor_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it costs is measured by the benchmarks."""
    done: list[str] = []

    def watch(name: str) -> None:
        call: Callable[..., object] = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given: (done.append(name), call(*given))[1])

    engine = connect(f"sqlite:///{tmp_path / 'x.db'}")
    event.listen(engine, "do_connect", lambda *_: done.append("connect"))
    for name in ("open", "write", "pwrite", "posix_fallocate", "fsync", "fdatasync"):
        watch(name)
    writer = UsageWriter(engine, Journal(tmp_path, 1 << 24), FAST)
    for record in numbered(2000):
        writer.record(record)
    assert done == ["open", "posix_fallocate"], "a segment is made once, and then a record takes no system call"
