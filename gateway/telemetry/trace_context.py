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

_IDS = rb"(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_FORMAT = re.compile(rb"00-%b|(?!00|ff)[0-9a-f]{2}-%b(?:-.*)?" % (_IDS, _IDS), re.DOTALL)
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
    if headers and (place := _place_of_parent(headers)) is not None:
        parent = headers[place][1]
        flags = int(parent[53:55], 16) & (_SAMPLED | _RANDOM)
        span_id = getrandbits(64) or 1
        headers[place] = (TRACEPARENT, b"00-%b%016x-%02x" % (parent[3:36], span_id, flags))
        return TraceContext(int(parent[3:35], 16), span_id, int(parent[36:52], 16)) if flags & _SAMPLED else None
    trace_id, span_id = getrandbits(128) or 1, getrandbits(64) or 1
    sampled = trace_id & 0xFFFF_FFFF_FFFF_FFFF < bound
    headers.append((TRACEPARENT, b"00-%032x-%016x-%02x" % (trace_id, span_id, _RANDOM | sampled)))
    return TraceContext(trace_id, span_id, None) if sampled else None


def bound_of(ratio: float) -> int:
    """What `begin` takes to keep this share of new traces."""
    return round(ratio * 2**64)


def _place_of_parent(headers: list[Header]) -> int | None:
    """Where the client's traceparent stands. One that is malformed is taken out, and the tracestate with it."""
    place: int | None = None
    valid = True
    for number, (name, value) in enumerate(headers):
        if name == TRACEPARENT:
            valid = place is None and _FORMAT.fullmatch(value) is not None
            place = number
    if place is not None and valid:
        return place
    headers[:] = [header for header in headers if header[0] not in (TRACEPARENT, TRACESTATE)]
    return None
