import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, exc, text
from sqlmodel import Session

from sluice import audit
from sluice.audit import Head
from sluice.database import connect, migrate
from sluice.errors import InvalidRequest, SluiceError

APPEND = """
import sys
from sqlmodel import Session
from sluice import audit
from sluice.database import connect, migrate
engine = connect(sys.argv[1])
for n in range(40):
    with Session(engine) as session:
        audit.append(session, actor=sys.argv[2], action="thing.done", subject=str(n))
        session.commit()
"""


def append(engine: Engine, subject: str, **detail: object) -> int:
    with Session(engine) as session:
        entry = audit.append(session, actor="ada", action="thing.done", subject=subject, detail=dict(detail))
        number = entry.number
        session.commit()
    return number


def tamper(engine: Engine, *changes: str) -> None:
    """As somebody to whom the database belongs, who can take its triggers away."""
    with engine.begin() as connection:
        for table in ("audit_entry", "audit_head"):
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
                continue
            found = text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table")
            for name in list(connection.execute(found, {"table": table}).scalars()):
                connection.execute(text(f"DROP TRIGGER {name}"))
        for change in changes:
            connection.execute(text(change))


def test_entries_are_numbered_chained_and_found_by_subject(engine: Engine) -> None:
    assert [append(engine, "a", n=1), append(engine, "b", text="ünï \U0001f600"), append(engine, "a")] == [1, 2, 3]
    assert [entry.number for entry in audit.entries(engine, "a")] == [1, 3]
    first, second, third = audit.entries(engine)
    assert (first.previous, second.previous, third.previous) == ("", first.hash, second.hash)
    assert list(audit.broken_links(engine)) == []
    assert audit.head(engine) == Head(3, third.hash)


def test_an_entry_of_a_transaction_that_fails_leaves_no_gap(engine: Engine) -> None:
    append(engine, "a")
    with Session(engine) as session:
        audit.append(session, actor="ada", action="thing.done", subject="lost")
        session.rollback()
    assert append(engine, "b") == 2
    assert list(audit.broken_links(engine)) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_entry SET actor = 'eve' WHERE number = 2",
        "UPDATE audit_entry SET actor = actor",
        "DELETE FROM audit_entry WHERE number = 3",
        "DELETE FROM audit_entry",
        "UPDATE audit_head SET number = 2",
        "DELETE FROM audit_head",
    ],
)
def test_the_database_itself_refuses_to_change_or_remove_entries(engine: Engine, change: str) -> None:
    for n in range(3):
        append(engine, "a", n=n)
    with pytest.raises((exc.DatabaseError, SluiceError), match="append-only"), engine.begin() as connection:
        connection.execute(text(change))
    assert len(audit.entries(engine)) == 3
    assert append(engine, "b") == 4
    assert list(audit.broken_links(engine)) == []


def test_an_entry_cannot_be_replaced_either(engine: Engine) -> None:
    append(engine, "a")
    row = "(1, '2026-01-01 00:00:00', 'eve', 'x', 'x', '{}', '', '')"
    columns = "(number, at, actor, action, subject, detail, previous, hash)"
    if engine.dialect.name == "sqlite":
        statement = f"INSERT OR REPLACE INTO audit_entry {columns} VALUES {row}"
    else:
        statement = f"INSERT INTO audit_entry {columns} VALUES {row} ON CONFLICT (number) DO UPDATE SET actor = 'eve'"
    with pytest.raises((exc.DatabaseError, SluiceError), match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    assert [entry.actor for entry in audit.entries(engine)] == ["ada"]


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        (["UPDATE audit_entry SET actor = 'eve' WHERE number = 2"], [2]),
        (["UPDATE audit_entry SET detail = '{\"n\": 9}' WHERE number = 1"], [1]),
        (["UPDATE audit_entry SET at = '2001-01-01 00:00:00' WHERE number = 3"], [3]),
        (["DELETE FROM audit_entry WHERE number = 2"], [3]),
        (["DELETE FROM audit_entry WHERE number = 1"], [2]),
        (["DELETE FROM audit_entry WHERE number = 4"], [4]),
        (["DELETE FROM audit_entry"], [1]),
        (["DELETE FROM audit_entry WHERE number = 4", "UPDATE audit_head SET number = 3"], [3]),
        (["UPDATE audit_head SET number = 3"], [3, 4]),
        (["UPDATE audit_head SET hash = 'x'"], [4]),
        (
            [
                "UPDATE audit_entry SET number = 9 WHERE number = 2",
                "UPDATE audit_entry SET number = 2 WHERE number = 3",
                "UPDATE audit_entry SET number = 3 WHERE number = 9",
            ],
            [2, 3, 4],
        ),
    ],
)
def test_what_was_changed_removed_reordered_or_cut_off_is_found(
    engine: Engine, changes: list[str], broken: list[int]
) -> None:
    for n in range(4):
        append(engine, "a", n=n)
    tamper(engine, *changes)
    assert list(audit.broken_links(engine)) == broken


@pytest.mark.parametrize(
    "detail", ["{", "[" * 100_000, '{"n": 1' + "0" * 30 + "}", '{"n": "\\ud800"}', '{"n": 1' + "0" * 5000 + "}"]
)
def test_an_entry_that_cannot_be_read_any_more_is_found(tmp_path: Path, detail: str) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"  # other databases take no such value
    migrate(url)
    engine = connect(url)
    for n in range(3):
        append(engine, "a", n=n)
    tamper(engine, f"UPDATE audit_entry SET detail = '{detail}' WHERE number = 2")
    assert next(audit.broken_links(engine)) in (1, 2)  # they are read in batches
    tamper(engine, "UPDATE audit_entry SET detail = '{}', at = 'yesterday' WHERE number = 2")
    assert next(audit.broken_links(engine)) in (1, 2)


def test_a_log_whose_head_was_removed_is_broken(engine: Engine) -> None:
    append(engine, "a")
    late = audit.head(engine)
    tamper(engine, "DELETE FROM audit_head")
    assert list(audit.broken_links(engine)) == [1]
    assert list(audit.broken_links(engine, late)) == [1]
    assert audit.head(engine) == Head(0, "")


def test_a_log_cut_off_with_a_head_to_match_is_found_by_a_head_kept_elsewhere(engine: Engine) -> None:
    append(engine, "a")
    append(engine, "b")
    early = audit.head(engine)
    append(engine, "c")
    late = audit.head(engine)
    tamper(
        engine,
        "DELETE FROM audit_entry WHERE number = 3",
        f"UPDATE audit_head SET number = 2, hash = '{early.hash}'",
    )
    assert list(audit.broken_links(engine)) == []
    assert list(audit.broken_links(engine, early)) == []
    assert list(audit.broken_links(engine, late)) == [3]
    append(engine, "another")
    assert list(audit.broken_links(engine)) == []
    assert list(audit.broken_links(engine, late)) == [3]


def test_a_log_that_holds_nothing_is_whole(engine: Engine) -> None:
    assert list(audit.broken_links(engine)) == []
    assert audit.head(engine) == Head(0, "")


def test_a_head_is_read_as_it_is_printed(engine: Engine) -> None:
    append(engine, "a")
    head = audit.head(engine)
    assert Head.parse(str(head)) == head
    for wrong in ("", "1", f"0:{head.hash}", f"-1:{head.hash}", head.hash, f"1:{head.hash[1:]}", f"١:{head.hash}"):
        with pytest.raises(InvalidRequest, match="is no head of the audit log"):
            Head.parse(wrong)


def test_entries_that_come_while_the_chain_is_checked_do_not_break_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BATCH", 2)
    for _ in range(10):
        append(engine, "a")
    other = connect(engine.url.render_as_string(hide_password=False))
    hashing = audit._hash

    def append_meanwhile(entry: audit.AuditEntry) -> str:
        if entry.subject == "a" and entry.number % 3 == 0:
            append(other, "b")
        return hashing(entry)

    monkeypatch.setattr(audit, "_hash", append_meanwhile)
    assert list(audit.broken_links(engine)) == []
    assert len(audit.entries(other)) == 13
    other.dispose()


def test_a_long_log_is_read_in_batches(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "BATCH", 5)
    for n in range(23):
        append(engine, "a", n=n)
    loaded: list[weakref.ref[audit.AuditEntry]] = []
    counts: list[int] = []

    def count(entry: audit.AuditEntry, *_: object) -> None:
        loaded.append(weakref.ref(entry))
        counts.append(sum(reference() is not None for reference in loaded))

    event.listen(audit.AuditEntry, "load", count)
    try:
        assert list(audit.broken_links(engine)) == []
    finally:
        event.remove(audit.AuditEntry, "load", count)
    assert len(counts) == 23
    assert max(counts) < 15


def test_many_at_once_make_one_chain(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda n: append(engine, f"s{n}"), range(40)))
    assert sorted(numbers) == list(range(1, 41))
    assert list(audit.broken_links(engine)) == []


def test_processes_at_once_make_one_chain(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    children = [subprocess.Popen([sys.executable, "-c", APPEND, url, actor]) for actor in ("ada", "bob")]
    assert [child.wait(120) for child in children] == [0, 0]
    assert [entry.number for entry in audit.entries(engine)] == list(range(1, 81))
    assert {entry.actor for entry in audit.entries(engine)} == {"ada", "bob"}
    assert list(audit.broken_links(engine)) == []
