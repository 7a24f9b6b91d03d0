"""Bringing an upstream's answer to the client: whole, or event by event with a side copy read for usage.

Both write the usage record before the client has the end of its answer, so that a killed gateway owes no record.
"""

import asyncio
import time
from contextlib import suppress

import msgspec

from gateway.exchange import Exchange
from gateway.sse import EventCopy
from gateway.tokens import usage_of
from gateway.upstream import UpstreamResponse
from gateway.upstream.header import render
from gateway.upstream_errors import recordable
from sluice.errors import SluiceError, UpstreamFailed, openai_body

WHOLE_HEADERS = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
STREAM_HEADERS = b"content-type: %b\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\nx-request-id: %b\r\n"
END_SECONDS = 1
"""How long an upstream may take to end its response after `[DONE]`; the client does not wait for it."""
CLOSING = frozenset({408, 413, 503})
"""After these the connection is closed: its request was not read to the end, or the gateway stops."""


async def forward_plain(exchange: Exchange, response: UpstreamResponse, content_type: bytes) -> None:
    """Send the whole answer at once, as the bytes it came in."""
    body = await response.read()
    exchange.usage = usage_of(body)
    if exchange.guard is not None:
        body = await exchange.guard.plain(body)
    if exchange.recording is not None:
        exchange.recording.add(content_type, body)
    if exchange.kept is not None:
        exchange.kept.whole(body)
    exchange.close(response.status)
    send_whole(exchange, response.status, content_type, body)


async def forward_stream(
    exchange: Exchange, response: UpstreamResponse, content_type: bytes, *, hide_usage: bool
) -> None:
    """Send each event as it comes.

    Raises:
        UpstreamFailed: the stream ended before its `[DONE]`.
    """
    request = exchange.request
    leased = exchange.leased
    copy = exchange.copy = EventCopy(hide_usage=hide_usage) if leased is None else leased.copy(hide_usage=hide_usage)
    guard = None if exchange.guard is None else exchange.guard.stream(copy)
    if leased is not None:
        exchange.meters = leased.headers()
    headers = STREAM_HEADERS % (content_type, exchange.request_id.encode())
    request.start(response.status, headers + render(exchange.headers.items()) + exchange.meters)
    exchange.response_started = True
    while not copy.done:
        piece = await response.chunk()
        if not piece:
            raise UpstreamFailed("The upstream ended its stream before the answer was complete.")
        events = copy.feed(piece)
        if guard is not None:
            events = guard.feed(events)
        if exchange.recording is not None:
            exchange.recording.add(content_type, events)
        if exchange.first_token is None and events:
            exchange.first_token = time.perf_counter()
        if exchange.kept is not None:
            exchange.kept.piece(events)
        if copy.done:
            exchange.close(response.status, copy.error and (recordable(copy.error.code) or "upstream_error"))
        await request.write(events)
    request.end()
    if copy.cut or (guard is not None and guard.stopped):
        return  # what the upstream still has to say is not wanted
    with suppress(SluiceError, TimeoutError):  # read to its end, the connection serves another request
        async with asyncio.timeout(END_SECONDS):
            while await response.chunk():
                pass


def send_error(exchange: Exchange, error: SluiceError) -> None:
    """End the exchange with an error: as the response, or as the last event of a stream that has begun."""
    if exchange.guard is not None:
        error = exchange.guard.checked(error)
    exchange.close(error.status, error.code, failure=error)
    if exchange.request.answered:
        return
    body = msgspec.json.encode(openai_body(error))
    if not exchange.response_started:
        send_whole(exchange, error.status, b"application/json", body, error.retry_after)
        return
    exchange.request.end(b"" if exchange.copy is None or exchange.copy.done else b"data: " + body + b"\n\n")


def send_whole(
    exchange: Exchange, status: int, content_type: bytes, body: bytes, retry_after: bytes | None = None
) -> None:
    """A response of known length."""
    headers = WHOLE_HEADERS % (content_type, len(body), exchange.request_id.encode())
    if exchange.headers:
        headers += render(exchange.headers.items())
    headers += exchange.meters
    if retry_after is not None:
        headers += b"retry-after: %b\r\n" % retry_after
    if status in CLOSING:
        exchange.request.keep_alive = False
    exchange.response_started = True
    exchange.request.send(status, headers, body)
