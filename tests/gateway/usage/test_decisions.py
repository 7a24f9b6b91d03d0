"""One audit entry for each request that guardrails decided about, whatever happens to the process."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, text

from gateway.usage import Journal, UsageRecord, UsageWriter
from gateway.usage.record import insert
from sluice.audit import broken_links, entries
from sluice.database import connect
from sluice.settings import UsageSettings

VERDICT = '[{"side":"input","validator":"pii","kind":"EMAIL","action":"redact","count":1}]'
RECORD = UsageRecord("r", "k", "m", "chat.completions", 200, None, True, 12, 0, 3, 1.5, 20.0, 4.0)
DECIDED = msgspec.structs.replace(RECORD, policy="strict@1", verdicts=VERDICT)

WRITE_UNTIL_KILLED = """
import asyncio, os, sys
from pathlib import Path
from gateway.usage import Journal, UsageRecord, UsageWriter
from sluice.database import connect
from sluice.settings import UsageSettings

async def main(url, folder, name, verdict):
    writer = UsageWriter(connect(url), Journal(Path(folder), 20_000), UsageSettings(flush_seconds=0.02))
    await writer.start()
    for number in range(10_000):
        request_id = f"{name}-{number}"
        writer.record(UsageRecord(request_id, "k", "m", "chat", 200, None, True, 1, 0, 2, 3.0, 4.0, None, 0, None, None, "p@1", verdict))
        os.write(1, f"{request_id}\\n".encode())
        await asyncio.sleep(0.002)

asyncio.run(main(*sys.argv[1:]))
"""


def audited(engine: Engine) -> list[str]:
    return [entry.subject.removeprefix("request:") for entry in entries(engine)]


def numbered(count: int, record: UsageRecord) -> list[UsageRecord]:
    return [msgspec.structs.replace(record, request_id=f"{record.request_id}{number}") for number in range(count)]


def test_only_decided_requests_are_audited_and_only_once(engine: Engine) -> None:
    plain = numbered(600, RECORD)
    decided = numbered(5, msgspec.structs.replace(DECIDED, request_id="d"))
    insert(engine, [*plain, *decided, decided[0]])
    insert(engine, [*decided, msgspec.structs.replace(DECIDED, request_id="late")])
    assert sorted(audited(engine)) == ["d0", "d1", "d2", "d3", "d4", "late"]
    [first, *_] = entries(engine)
    assert (first.actor, first.action) == ("gateway", "guardrail.redacted")
    assert first.detail == {"key": "k", "policy": "strict@1", "verdicts": msgspec.json.decode(VERDICT)}
    assert list(broken_links(engine)) == []


def test_record_and_entry_are_there_together_or_not_at_all(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr("gateway.usage.decisions.append", fail)
        with pytest.raises(RuntimeError):
            insert(engine, [DECIDED])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM usage_record")).scalar() == 0
    assert audited(engine) == []
    insert(engine, [DECIDED])
    assert audited(engine) == ["r"]


async def test_killed_processes_leave_one_entry_for_each_record(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "journal"
    for name in ("first", "second"):
        command = [sys.executable, "-c", WRITE_UNTIL_KILLED, database_url, str(folder), name, VERDICT]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(150):
            await asyncio.to_thread(process.stdout.readline)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    writer = UsageWriter(connect(database_url), Journal(folder, 20_000), UsageSettings())
    await writer.start()
    await writer.stop()
    with engine.connect() as connection:
        records = set(connection.execute(text("SELECT request_id FROM usage_record")).scalars())
    assert len(records) >= 300
    assert len(audited(engine)) == len(records)
    assert set(audited(engine)) == records
    assert list(broken_links(engine)) == []
