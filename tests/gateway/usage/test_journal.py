import fcntl
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.usage.journal import Journal, Segment


def read_all(segment: Segment, limit: int) -> bytes:
    found = b""
    while segment.settled < segment.size:
        part = segment.read(limit)
        assert part.endswith(b"\n") or segment.settled + len(part) == segment.size
        found += part
        segment.settled += len(part)
    return found


def recovered(folder: Path) -> list[bytes]:
    """All that a new process would find."""
    return b"".join(segment.read(1 << 30) for segment in Journal(folder, 1).orphans()).splitlines()


def test_appended_lines_are_read_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", 1000)
    lines = [b"line %d" % number for number in range(50)]
    for line in lines:
        journal.append(line)
    [segment] = journal.segments
    assert len(segment.read(20)) == 14
    assert read_all(segment, 20).splitlines() == lines


def test_line_longer_than_the_limit_is_read_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1000)
    journal.append(b"x" * 100)
    journal.append(b"y")
    assert journal.segments[0].read(10) == b"x" * 100 + b"\ny\n"


def test_files_are_private(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a" / "journal", 1000)
    journal.append(b"line")
    assert (tmp_path / "a" / "journal").stat().st_mode & 0o777 == 0o700
    assert journal.segments[0].path.stat().st_mode & 0o777 == 0o600


def test_full_segment_is_removed_once_settled(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 10)
    for _ in range(6):
        journal.append(b"1234")
    first, second, current = journal.segments
    for segment in (first, current):
        segment.settled = segment.size
    journal.remove_settled()
    assert sorted(tmp_path.iterdir()) == sorted([second.path, current.path])
    assert journal.segments == [second, current]


def test_close_leaves_only_what_is_not_settled(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 4)
    journal.append(b"settled")
    journal.append(b"not yet")
    journal.segments[0].settled = journal.segments[0].size
    journal.close()
    assert recovered(tmp_path) == [b"not yet"]


def test_living_process_keeps_its_segments(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 4)
    for _ in range(3):
        journal.append(b"line")
    assert recovered(tmp_path) == []
    code = "import sys, pathlib; from gateway.usage.journal import Journal\n"
    code += "print(len(list(Journal(pathlib.Path(sys.argv[1]), 1).orphans())))"
    assert subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, timeout=120).stdout == b"0\n"
    journal.close()
    assert recovered(tmp_path) == [b"line"] * 3


def test_orphan_is_claimed_by_one_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1)
    journal.append(b"one")
    journal.append(b"two")
    journal.close()
    first, second = Journal(tmp_path, 1).orphans(), Journal(tmp_path, 1).orphans()
    assert next(first).read(100) == b"one\n"
    assert next(second).read(100) == b"two\n"
    assert next(second, None) is None


def test_segment_removed_while_another_waits_for_it_is_not_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.journal").write_bytes(b"line\n")
    flock = fcntl.flock

    def removed_meanwhile(descriptor: int, operation: int) -> None:
        (tmp_path / "1.journal").unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    assert list(Journal(tmp_path, 1).orphans()) == []


def test_new_segment_claimed_before_it_was_locked_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock, thieves = fcntl.flock, list[int]()

    def stolen_once(descriptor: int, operation: int) -> None:
        if not thieves:
            [path] = tmp_path.iterdir()
            thieves.append(os.open(path, os.O_RDWR))
            flock(thieves[0], operation)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", stolen_once)
    journal = Journal(tmp_path, 100)
    journal.append(b"line")
    os.close(thieves[0])
    journal.close()
    assert recovered(tmp_path) == [b"line"]


def test_segment_that_cannot_be_opened_does_not_hide_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "0.journal").mkdir()
    (tmp_path / "1.journal").write_bytes(b"line\n")
    assert recovered(tmp_path) == [b"line"]
    assert "0.journal cannot be read" in caplog.text


def test_disk_without_room_for_a_segment(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (999, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            journal.append(b"no room")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    journal.append(b"room again")
    journal.close()
    assert recovered(tmp_path) == [b"room again"]


def test_room_is_granted_ahead_and_a_longer_line_gets_its_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 100)
    journal.append(b"short")
    journal.append(b"x" * 500)
    journal.append(b"y" * 99)
    assert [segment.path.stat().st_size for segment in journal.segments] == [100, 501, 100]
    assert [segment.size for segment in journal.segments] == [6, 501, 100]


@given(
    st.lists(
        st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"").replace(b"\0", b"")), min_size=1, max_size=8
    ),
    st.data(),
)
def test_segment_cut_at_any_byte_keeps_its_whole_lines(lines: list[bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder), 1 << 20)
        for line in lines:
            journal.append(line)
        path, size = journal.segments[0].path, journal.segments[0].size
        journal.close()
        cut = data.draw(st.integers(0, size))
        os.truncate(path, cut)
        limit = data.draw(st.integers(1, 100))
        [found] = [read_all(segment, limit) for segment in Journal(Path(folder), 1).orphans()]
        assert found == b"".join(line + b"\n" for line in lines)[:cut]
