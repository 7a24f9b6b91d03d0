from pathlib import Path

from sluice.processes.logfile import bound, tail


def test_a_log_is_bounded_while_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"a" * 100)
        assert not bound(path, limit_bytes=100)
        writer.write(b"b")
        assert bound(path, limit_bytes=100)
        writer.write(b"new\n")
    assert path.read_bytes() == b"new\n"
    assert (tmp_path / "one.log.1").stat().st_size == 101


def test_the_tail_begins_where_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    path.write_text("old\n" + "".join(f"line {number}\n" for number in range(50)))
    assert tail(path, 2) == ["line 48", "line 49"]
    assert tail(path, 100, start=4)[0] == "line 0"
    assert len(tail(path, 100, start=10_000)) == 51  # cut since: all that is there
    assert tail(path, 0) == []
    assert tail(tmp_path / "absent.log", 5) == []


def test_the_tail_survives_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    path.write_bytes(b"\xff\xfe\nfine\n")
    assert tail(path, 1) == ["fine"]
