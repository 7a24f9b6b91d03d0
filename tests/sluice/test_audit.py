from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, event, text
from sqlmodel import Session

from sluice import audit
from sluice.database import connect


def append(engine: Engine, subject: str, **detail: object) -> int:
    with Session(engine) as session:
        entry = audit.append(session, actor="ada", action="thing.done", subject=subject, detail=dict(detail))
        number = entry.number
        session.commit()
    return number


def test_entries_are_numbered_chained_and_found_by_subject(engine: Engine) -> None:
    assert [append(engine, "a", n=1), append(engine, "b", text="ünï \U0001f600"), append(engine, "a")] == [1, 2, 3]
    assert [entry.number for entry in audit.entries(engine, "a")] == [1, 3]
    first, second, third = audit.entries(engine)
    assert (first.previous, second.previous, third.previous) == ("", first.hash, second.hash)
    assert list(audit.broken_links(engine)) == []


def test_an_entry_of_a_transaction_that_fails_leaves_no_gap(engine: Engine) -> None:
    append(engine, "a")
    with Session(engine) as session:
        audit.append(session, actor="ada", action="thing.done", subject="lost")
        session.rollback()
    assert append(engine, "b") == 2
    assert list(audit.broken_links(engine)) == []


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("UPDATE audit_entry SET actor = 'eve' WHERE number = 2", [2]),
        ("UPDATE audit_entry SET detail = '{\"n\": 9}' WHERE number = 1", [1]),
        ("DELETE FROM audit_entry WHERE number = 2", [3]),
    ],
)
def test_a_changed_or_removed_entry_breaks_the_chain(engine: Engine, change: str, broken: list[int]) -> None:
    for n in range(3):
        append(engine, "a", n=n)
    with engine.begin() as connection:
        connection.execute(text(change))
    assert list(audit.broken_links(engine)) == broken


def test_a_cut_off_end_is_noticed(engine: Engine) -> None:
    for n in range(3):
        append(engine, "a", n=n)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_entry WHERE number = 3"))
    assert list(audit.broken_links(engine)) == [3]


def test_an_end_that_is_cut_off_and_counted_anew_is_noticed(engine: Engine) -> None:
    for n in range(3):
        append(engine, "a", n=n)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_entry WHERE number = 3"))
        connection.execute(text("UPDATE audit_head SET number = 2"))
    assert list(audit.broken_links(engine)) == [2]


def test_entries_that_come_while_the_chain_is_checked_do_not_break_it(engine: Engine) -> None:
    append(engine, "a")
    other = connect(engine.url.render_as_string(hide_password=False))

    def append_meanwhile(*_: object) -> None:
        append(other, "b")

    event.listen(engine, "before_cursor_execute", append_meanwhile)
    assert list(audit.broken_links(engine)) == []
    assert len(audit.entries(other)) == 3
    other.dispose()


def test_many_at_once_make_one_chain(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda n: append(engine, f"s{n}"), range(40)))
    assert sorted(numbers) == list(range(1, 41))
    assert list(audit.broken_links(engine)) == []
