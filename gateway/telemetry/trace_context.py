"""W3C trace context: which trace a request belongs to, and whether that trace is kept.

https://www.w3.org/TR/trace-context/ and, for the sampling of new traces, OpenTelemetry's parent-based ratio: whoever began
a trace has decided for all of it. A header that is malformed counts as none, and its tracestate with it.
"""

import re
from random import getrandbits
from typing import NamedTuple

from gateway.upstream.header import Header

TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"

_FORMAT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)
_SAMPLED = 0x01
_RANDOM = 0x02
"""The lower bits of a trace id of ours are random (Trace Context, level 2)."""


class TraceContext(NamedTuple):
    """The span of one request.

    Attributes:
        parent_id: the client's span; None: the trace begins here.
    """

    trace_id: int
    span_id: int
    parent_id: int | None


def begin(headers: list[Header], bound: int) -> TraceContext | None:
    """Continue the trace of a request or begin one, and put this request's span into the headers that go upstream.

    Args:
        headers: those of the client that go upstream; changed in place.
        bound: new traces whose id's lower half is below it are kept.

    Returns:
        The span where the trace is kept, else None.
    """
    span_id = getrandbits(64) or 1
    if headers and (parent := _take(headers)) is not None:
        trace_id, parent_id, flags = parent
        headers.append((TRACEPARENT, b"00-%032x-%016x-%02x" % (trace_id, span_id, flags & (_SAMPLED | _RANDOM))))
        return TraceContext(trace_id, span_id, parent_id) if flags & _SAMPLED else None
    trace_id = getrandbits(128) or 1
    sampled = trace_id & 0xFFFF_FFFF_FFFF_FFFF < bound
    headers.append((TRACEPARENT, b"00-%032x-%016x-%02x" % (trace_id, span_id, _RANDOM | sampled)))
    return TraceContext(trace_id, span_id, None) if sampled else None


def bound_of(ratio: float) -> int:
    """What `begin` takes to keep this share of new traces."""
    return round(ratio * 2**64)


def _take(headers: list[Header]) -> tuple[int, int, int] | None:
    """Take the trace context out of the headers: its trace, span and flags. The tracestate stays if it is valid."""
    found = [value for name, value in headers if name == TRACEPARENT]
    parsed = _FORMAT.fullmatch(found[0]) if len(found) == 1 else None
    if parsed is not None and parsed[1] == b"00" and parsed[5]:
        parsed = None
    dropped = (TRACEPARENT,) if parsed is not None else (TRACEPARENT, TRACESTATE)
    headers[:] = [header for header in headers if header[0] not in dropped]
    return None if parsed is None else (int(parsed[2], 16), int(parsed[3], 16), int(parsed[4], 16))
