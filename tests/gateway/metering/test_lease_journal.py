import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.metering import lease_journal
from gateway.metering.lease_journal import LeaseJournal, OpenLease, read_leases

LEASE = OpenLease("req-1", "k", "m", "chat", 120, 7, 1_764_417_600.5)

JOURNAL_UNTIL_KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.metering.lease_journal import LeaseJournal, OpenLease
journal = LeaseJournal(Path(sys.argv[1]), "dead")
for number in range(20_000):
    journal.add(OpenLease(f"req-{number}", "k", "m", "chat", number, 0, 1.5))
    if number % 1_000:
        journal.forget(f"req-{number}")
journal.intend("req-asked")
os.kill(os.getpid(), signal.SIGKILL)
"""


def left_in(folder: Path) -> dict[str, OpenLease]:
    """What a new process would find."""
    found: dict[str, OpenLease] = {}
    for _, segment in LeaseJournal(folder, "reader").orphans():
        found |= read_leases(segment)
        segment.close()
    return found


def test_a_killed_process_leaves_what_was_open_in_one_file(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", JOURNAL_UNTIL_KILLED, tmp_path], cwd=Path.cwd(), timeout=120)
    assert done.returncode == -signal.SIGKILL
    [(owner, segment)] = LeaseJournal(tmp_path, "reader").orphans()
    leases = read_leases(segment)
    segment.close()
    assert owner == "dead"
    assert {f"req-{number}" for number in (0, 1_000, 2_000, 3_000, 4_000)} <= leases.keys()
    assert leases["req-3000"] == OpenLease("req-3000", "k", "m", "chat", 3_000, 0, 1.5)
    assert leases["req-asked"] == OpenLease("req-asked")
    assert len(leases) < 20_000


def test_a_living_processs_leases_are_nobody_elses(tmp_path: Path) -> None:
    journal = LeaseJournal(tmp_path, "alive")
    journal.add(LEASE)
    assert left_in(tmp_path) == {}
    journal.forget(LEASE.request_id)
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_still_to_be_settled_outlives_the_process(tmp_path: Path) -> None:
    journal = LeaseJournal(tmp_path, "stopped")
    journal.add(LEASE)
    journal.close()
    assert left_in(tmp_path) == {LEASE.request_id: LEASE}


def test_a_call_that_was_made_takes_the_place_of_one_that_was_asked_for(tmp_path: Path) -> None:
    journal = LeaseJournal(tmp_path, "x")
    journal.intend(LEASE.request_id)
    journal.add(LEASE)
    journal.close()
    assert left_in(tmp_path) == {LEASE.request_id: LEASE}


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    journal = LeaseJournal(tmp_path, "x")
    journal.add(LEASE)
    journal.add(OpenLease("req-2", "k", "m", "chat", 1, 1, 1.0))
    journal.close()
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().rstrip(b"\0")[:-20])
    assert left_in(tmp_path) == {LEASE.request_id: LEASE}


def test_a_full_disk_fails_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = LeaseJournal(tmp_path, "x")
    monkeypatch.setattr(os, "posix_fallocate", full)
    journal.add(LEASE)
    journal.add(LEASE)
    assert journal.failures == 2
    assert len([record for record in caplog.records if "No space left" in record.message]) == 1
    monkeypatch.undo()
    journal.add(OpenLease("req-2", "k", "m", "chat", 1, 1, 1.0))
    journal.close()
    assert left_in(tmp_path).keys() == {"req-1", "req-2"}


def test_a_file_grows_with_what_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_journal, "SEGMENT_BYTES", 200)
    journal = LeaseJournal(tmp_path, "x")
    for number in range(50):
        journal.add(OpenLease(f"req-{number}", "k", "m", "chat", 1, 1, 1.0))
    journal.close()
    assert len(left_in(tmp_path)) == 50
