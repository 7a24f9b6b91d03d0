import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from gateway.usage.record import UsageRecord, decode, encode, insert
from sluice.database import connect, migrate

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
counts = st.integers(0, 2**63 - 1)
moments = st.floats(0, 1e12)
records = st.builds(
    UsageRecord,
    request_id=words,
    key_id=words,
    route=words,
    endpoint=words,
    status=st.integers(100, 599),
    error=st.none() | words,
    streamed=st.booleans(),
    prompt_tokens=counts,
    cached_tokens=counts,
    completion_tokens=counts,
    started_at=moments,
    duration_ms=moments,
    first_byte_ms=st.none() | moments,
)


@given(st.lists(records, min_size=1, max_size=5), st.data())
def test_lines_cut_at_any_byte_give_their_whole_records(written: list[UsageRecord], data: st.DataObject) -> None:
    lines = b"".join(encode(record) + b"\n" for record in written)
    assert lines.count(b"\n") == len(written)
    cut = data.draw(st.integers(0, len(lines)))
    whole = lines[:cut].count(b"\n")
    torn = int(cut > 0 and lines[cut - 1 : cut] != b"\n")
    assert decode(lines[:cut]) == (written[:whole], torn)


@given(st.lists(records, max_size=3), st.binary(max_size=40))
def test_garbage_after_records_harms_none_of_them(written: list[UsageRecord], garbage: bytes) -> None:
    lines = b"".join(encode(record) + b"\n" for record in written)
    found, torn = decode(lines + garbage)
    assert found == written
    assert torn <= garbage.count(b"\n") + 1
    found, torn = decode(lines + b"\0garbage\n" + lines)
    assert (found, torn) == (written * 2, 1)


def test_record_of_an_earlier_version_is_understood() -> None:
    line = b'["r","k","m","chat.completions",200,null,true,1,0,2,3.5,4.5,null]\n'
    record = UsageRecord("r", "k", "m", "chat.completions", 200, None, True, 1, 0, 2, 3.5, 4.5, None)
    assert decode(line) == ([record], 0)


def test_record_of_a_later_version_is_understood() -> None:
    line = b'["r","k","m","chat.completions",200,null,true,1,0,2,3.5,4.5,null,3,"p","n@1","safe@2","[]",7,"b","hit","not known yet"]\n'
    record = UsageRecord(
        "r", "k", "m", "chat.completions", 200, None, True, 1, 0, 2, 3.5, 4.5, None, 3, "p", "n@1", "safe@2", "[]", 7, "b", "hit"
    )  # fmt: skip
    assert decode(line) == ([record], 0)


@pytest.fixture
def engine(database_url: str) -> Engine:
    migrate(database_url)
    return connect(database_url)


def test_inserted_rows_are_the_records(engine: Engine) -> None:
    plain = UsageRecord(
        "r1", "k", "m", "chat.completions", 200, None, False, 2**63 - 1, 0, 2, 1764000000.123456, 0.1, 5.0
    )
    streamed = UsageRecord("r2", "k", "ünï \"'\\ %s", "embeddings", 499, "client_gone", True, 0, 0, 0, 1.0, 2.5, None)
    insert(engine, [plain, streamed])
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM usage_record ORDER BY request_id")).all()
    assert [UsageRecord(*row) for row in rows] == [plain, streamed]


def test_inserting_again_changes_nothing(engine: Engine) -> None:
    first = UsageRecord("r1", "k", "m", "chat.completions", 200, None, False, 1, 0, 2, 3.0, 4.0, None)
    other = UsageRecord("r1", "k", "m", "chat.completions", 500, None, False, 0, 0, 0, 3.0, 4.0, None)
    third = UsageRecord("r2", "k", "m", "chat.completions", 200, None, False, 0, 0, 0, 3.0, 4.0, None)
    insert(engine, [first])
    insert(engine, [other, third, third])
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT request_id, status FROM usage_record ORDER BY request_id")).all()
    assert rows == [("r1", 200), ("r2", 200)]
