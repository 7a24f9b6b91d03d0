import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sse import MAX_EVENT_BYTES, EventCopy
from sluice.errors import UpstreamFailed

TEXT = b'data: {"id":"a","choices":[{"index":0,"delta":{"content":"\\"usage\\": {} [DONE] d\xc3\xa9j\xc3\xa0"}}]}\n\n'
USAGE = (
    b'data: {"id":"a","choices":[],"usage":{"prompt_tokens":7,"total_tokens":10,"completion_tokens":3,'
    b'"prompt_tokens_details":{"cached_tokens":4}}}\n\n'
)
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"broken","code":500}}\n\n'


def feed(pieces: list[bytes], *, hide_usage: bool) -> tuple[bytes, EventCopy]:
    copy = EventCopy(hide_usage=hide_usage)
    return b"".join(copy.feed(piece) for piece in pieces), copy


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    return [stream[start:end] for start, end in itertools.pairwise(places)]


@given(st.lists(st.integers(0, 10_000)), st.integers(0, 5), st.booleans(), st.booleans())
def test_however_a_stream_is_cut_the_same_is_forwarded_and_read(
    cuts: list[int], texts: int, hide: bool, crlf: bool
) -> None:
    events = [TEXT] * texts + [USAGE, DONE]
    expected = [TEXT] * texts + ([] if hide else [USAGE]) + [DONE]
    if crlf:
        events = [event.replace(b"\n", b"\r\n") for event in events]
        expected = [event.replace(b"\n", b"\r\n") for event in expected]
    forwarded, copy = feed(cut(b"".join(events), cuts), hide_usage=hide)
    assert forwarded == b"".join(expected)
    assert copy.done
    assert copy.usage is not None
    assert (copy.usage.prompt_tokens, copy.usage.completion_tokens, copy.usage.cached_tokens) == (7, 3, 4)


def test_a_whole_event_passes_at_once_and_a_part_waits() -> None:
    copy = EventCopy(hide_usage=True)
    assert copy.feed(TEXT) == TEXT
    assert copy.feed(TEXT[:30]) == b""
    assert copy.feed(TEXT[30:] + TEXT[:10]) == TEXT
    assert not copy.done


def test_content_that_looks_like_usage_is_content() -> None:
    forwarded, copy = feed([TEXT], hide_usage=True)
    assert forwarded == TEXT
    assert copy.usage is None
    assert not copy.done


def test_usage_beside_choices_is_read_and_kept() -> None:
    event = b'data: {"choices":[{"index":0}],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
    forwarded, copy = feed([event], hide_usage=True)
    assert forwarded == event
    assert copy.usage is not None
    assert copy.usage.completion_tokens == 2


def test_an_error_event_is_seen() -> None:
    forwarded, copy = feed([ERROR, DONE], hide_usage=True)
    assert forwarded == ERROR + DONE
    assert copy.error is not None
    assert copy.error.code == 500


def test_comments_and_nonsense_pass() -> None:
    nonsense = b': keep-alive "usage"\n\ndata: {"usage": nonsense}\n\ndata: {"usage": "text"}\n\n'
    forwarded, copy = feed([nonsense], hide_usage=True)
    assert forwarded == nonsense
    assert copy.usage is None


def test_an_endless_event_is_an_error() -> None:
    copy = EventCopy(hide_usage=False)
    copy.feed(b"x" * MAX_EVENT_BYTES)
    with pytest.raises(UpstreamFailed):
        copy.feed(b"x")


@pytest.mark.parametrize("data", [b'{"error":{"message":"\xff"}}', b'{"usage":' + b"[" * 100_000])
def test_an_event_that_cannot_be_read_passes(data: bytes) -> None:
    copy = EventCopy(hide_usage=True)
    assert copy.feed(b"data: " + data + b"\n\n") == b"data: " + data + b"\n\n"
    assert copy.usage is None
