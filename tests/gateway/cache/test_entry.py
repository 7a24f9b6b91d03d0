import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.entry import Entry, pack, unpack
from gateway.tokens import TokenUsage

KEY = b"k" * 32
LIMIT = 10_000
ENTRIES = [
    Entry(b"application/json", False, b'{"usage":{}}' * 20, TokenUsage(1, 2)),
    Entry(b"text/event-stream", True, b'data: {"a":"b"}\n\n' * 20, TokenUsage(5)),
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_it_comes_back_as_it_was(entry: Entry) -> None:
    assert unpack(KEY, pack(KEY, entry), LIMIT) == entry


@pytest.mark.parametrize("entry", ENTRIES)
@given(data=st.data())
def test_no_damage_goes_unseen_in_the_body(entry: Entry, data: st.DataObject) -> None:
    packed = bytearray(pack(KEY, entry))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    found = unpack(KEY, bytes(packed), LIMIT)
    assert found is None or found.body == entry.body


@pytest.mark.parametrize("entry", ENTRIES)
@given(junk=st.binary(max_size=300), cut=st.integers(0, 100))
def test_junk_is_nothing(entry: Entry, junk: bytes, cut: int) -> None:
    assert unpack(KEY, junk, LIMIT) is None
    assert unpack(KEY, pack(KEY, entry)[:cut], LIMIT) is None


def test_another_keys_entry_is_not_taken() -> None:
    assert unpack(b"o" * 32, pack(KEY, ENTRIES[0]), LIMIT) is None


def test_no_entry_adds_a_header() -> None:
    for content_type in (b"text/plain\r\nset-cookie: a=b", b"a\nb", b"a\0b"):
        assert unpack(KEY, pack(KEY, Entry(content_type, False, b"x", None)), LIMIT) is None


def test_a_bomb_is_not_inflated() -> None:
    bomb = Entry(b"text/event-stream", True, b"\0" * 50_000_000, None)
    assert unpack(KEY, pack(KEY, bomb), LIMIT) is None
    assert unpack(KEY, pack(KEY, Entry(b"", False, b"x" * (LIMIT + 1), None)), LIMIT) is None
    exact = Entry(b"", True, b"x" * LIMIT, None)
    assert unpack(KEY, pack(KEY, exact), LIMIT) == exact
