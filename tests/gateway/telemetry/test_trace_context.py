import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.trace_context import TraceContext, begin, bound_of

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
ALL, NONE = bound_of(1), bound_of(0)
STATE = (b"tracestate", b"vendor=1")


def parent(flags: bytes = b"01", version: bytes = b"00", rest: bytes = b"") -> tuple[bytes, bytes]:
    return b"traceparent", b"-".join((version, TRACE, SPAN, flags)) + rest


def test_a_trace_is_continued_with_a_span_of_our_own() -> None:
    headers = [parent(), STATE]
    trace = begin(headers, NONE)
    assert trace is not None
    assert (trace.trace_id, trace.parent_id) == (int(TRACE, 16), int(SPAN, 16))
    assert headers == [(b"traceparent", b"00-%b-%016x-01" % (TRACE, trace.span_id)), STATE]
    assert trace.span_id != trace.parent_id


def test_who_began_a_trace_has_decided_whether_it_is_kept() -> None:
    headers = [parent(flags=b"00")]
    assert begin(headers, ALL) is None
    (name, value), *rest = headers
    assert (name, value[:36], value[-3:], rest) == (b"traceparent", b"00-" + TRACE + b"-", b"-00", [])


@pytest.mark.parametrize(("ratio", "least", "most"), [(0, 0, 0), (0.1, 120, 280), (1, 2000, 2000)])
def test_of_new_traces_a_share_is_kept(ratio: float, least: int, most: int) -> None:
    kept = 0
    for _ in range(2000):
        headers: list[tuple[bytes, bytes]] = []
        trace = begin(headers, bound_of(ratio))
        flags = int(headers[0][1][-2:], 16)
        assert bool(flags & 1) == (trace is not None)
        if trace is not None:
            assert headers[0][1] == b"00-%032x-%016x-03" % (trace.trace_id, trace.span_id)
            assert trace.parent_id is None
            kept += 1
    assert least <= kept <= most  # 0.1: six standard deviations


@pytest.mark.parametrize(
    "malformed",
    [
        [parent(version=b"ff")],
        [parent(rest=b"-more")],  # version 00 has no more
        [parent(), parent()],
        [(b"traceparent", b"00-" + TRACE.upper() + b"-" + SPAN + b"-01")],
        [(b"traceparent", b"00-" + b"0" * 32 + b"-" + SPAN + b"-01")],
        [(b"traceparent", b"00-" + TRACE + b"-" + b"0" * 16 + b"-01")],
        [(b"traceparent", b"")],
        [(b"traceparent", b"\xff\x00\r\n" * 40)],
    ],
)
def test_a_malformed_context_begins_a_new_trace_without_its_tracestate(malformed: list[tuple[bytes, bytes]]) -> None:
    headers = [*malformed, STATE]
    trace = begin(headers, ALL)
    assert trace is not None
    assert trace.parent_id is None
    assert headers == [(b"traceparent", b"00-%032x-%016x-03" % (trace.trace_id, trace.span_id))]


def test_a_later_version_may_say_more() -> None:
    assert begin([parent(version=b"cc", rest=b"-whatever")], NONE) is not None
    assert begin([parent(version=b"cc", rest=b".whatever")], NONE) is None


@given(st.lists(st.tuples(st.sampled_from([b"traceparent", b"tracestate"]), st.binary()), max_size=3))
def test_whatever_comes_one_good_context_goes_on(headers: list[tuple[bytes, bytes]]) -> None:
    trace = begin(headers, ALL)
    assert isinstance(trace, TraceContext)
    assert [value for name, value in headers if name == b"traceparent"] == [
        b"00-%032x-%016x-03" % (trace.trace_id, trace.span_id)
    ]
