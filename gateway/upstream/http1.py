"""One HTTP/1.1 connection to an upstream.

The parser calls the connection, the connection fills the response, and whoever waits is woken once for each packet.
While nobody waits and more than `HIGH_WATER` bytes lie here, reading is paused, so that a slow client slows the
upstream down.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gateway.upstream.header import Header
from gateway.upstream.response import Response
from sluice.errors import SluiceError, UpstreamFailed, UpstreamTimeout
from sluice.settings import UpstreamSettings

HIGH_WATER = 64 * 1024
HEAD_LIMIT = 64 * 1024
KEEP_SECONDS = 4
"""Idle connections are closed after this long: vLLM (uvicorn) closes its side after 5 s."""
SLICE = 64 * 1024
"""A longer request body is not joined with its head, but handed over in slices, each when the one before has left."""

_DISCARD = cast(list[Header], deque[Header](maxlen=0))
"""Takes the trailers after a chunked body."""


class Broken(Exception):
    """Raised in a parser callback to end parsing: what comes is not, or no longer, part of an answer."""


class Connection(asyncio.Protocol):
    """Carries one request at a time.

    `settled` is called when it may carry the next one, `gone` when it may not be used any more.
    """

    __slots__ = (
        "_arrived", "_fields", "_gone", "_interim", "_loop", "_parser", "_paused", "_reusable", "_settled",
        "_unsent", "_until_closed", "_waiter", "_waits_for", "_without_body", "_writable", "deadline", "peer",
        "response", "settings", "transport",
    )  # fmt: skip

    def __init__(
        self,
        peer: str,
        settings: UpstreamSettings,
        settled: Callable[["Connection"], None],
        gone: Callable[["Connection"], None],
    ) -> None:
        self.peer = peer
        self.settings = settings
        self.response: Response | None = None
        self.deadline = inf
        self.transport: asyncio.Transport | None = None
        self._settled = settled
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._parser = HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._waits_for = ("", 0.0)
        self._unsent: memoryview | None = None
        self._writable = True
        self._paused = False

    def send(self, head: bytes, body: bytes, *, without_body: bool) -> Response:
        """Start a request. The response's head is there once `wait` returns, or its failure.

        Args:
            without_body: the answer has none, whatever its head says (HEAD).
        """
        assert self.transport is not None
        self.response = response = Response(self)
        self._fields: list[Header] = []
        self._arrived = 0
        self._interim = False
        self._reusable = True
        self._until_closed = False
        self._without_body = without_body
        self._unsent = None
        if len(body) <= SLICE:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self._unsent = memoryview(body)
            self._send_more()
        return response

    async def wait(self, limit: str, seconds: float) -> None:
        """Until something came or failed. Being cancelled here aborts the connection."""
        self.deadline = self._loop.time() + seconds
        self._waits_for = (limit, seconds)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        except BaseException:
            self.abort()
            raise

    def resume_reading(self) -> None:
        if self._paused and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()

    def abort(self) -> None:
        self._end(UpstreamFailed(f"The request to {self.peer} was given up."))

    def expire(self) -> None:
        """What to do once `deadline` has passed: give up waiting; an idle connection is closed."""
        if self.response is None or self._waiter is not None:
            limit, seconds = self._waits_for
            self._end(UpstreamTimeout(f"{self.peer} sent nothing for {seconds:g} s ({limit})."))

    # The transport calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        response = self.response
        if response is None:
            self._end(None)  # nobody asked
            return
        head_was_there = response.status
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._reusable = False
            if not response.complete:
                self._end(UpstreamFailed(f"{self.peer} does not answer in valid HTTP ({error.__context__ or error})."))
                return
        if not head_was_there and not self._head_arrived(response, len(data)):
            return
        if response.complete:
            self._finish()
        elif self._waiter is None and response.size > HIGH_WATER and not self._paused:
            assert self.transport is not None
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._send_more()

    # The parser calls these.

    def on_message_begin(self) -> None:
        if self.response is None or self.response.complete:
            raise Broken("bytes after the end of the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        response = self.response
        assert response is not None
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._interim = True
            self._fields = []
            return
        if not 200 <= status < 600:
            raise Broken(f"status {status}")
        response.status = status
        response.headers = self._fields
        self._fields = _DISCARD
        if not self._parser.should_keep_alive():
            self._reusable = False
            self._until_closed = not any(n in (b"content-length", b"transfer-encoding") for n, _ in response.headers)
        if status >= 400 and self._unsent is not None:
            self._unsent = None
            self._reusable = False
        if self._without_body:
            response.complete = True
            raise Broken("the parser would wait for a body")

    def on_body(self, data: bytes) -> None:
        response = self.response
        assert response is not None
        response.pieces.append(data)
        response.size += len(data)

    def on_message_complete(self) -> None:
        assert self.response is not None
        if self._interim:
            self._interim = False
        else:
            self.response.complete = True

    # What follows from what they said.

    def _send_more(self) -> None:
        assert self.transport is not None
        while self._unsent is not None and self._writable:
            part, rest = self._unsent[:SLICE], self._unsent[SLICE:]
            self._unsent = rest or None
            self.transport.write(part)

    def _head_arrived(self, response: Response, size: int) -> bool:
        """Count the bytes of a head that came in several packets; end the request if they are too many."""
        self._arrived += size
        if self._arrived > HEAD_LIMIT and (
            not response.status or sum(len(name) + len(value) + 4 for name, value in response.headers) > HEAD_LIMIT
        ):
            response.status, response.complete = 0, False
            self._end(UpstreamFailed(f"{self.peer} sent a head of more than {HEAD_LIMIT} bytes."))
            return False
        return response.status != 0

    def _finish(self) -> None:
        """The answer is whole."""
        if self._reusable and self._unsent is None and self._writable:
            self.response = None
            self.resume_reading()
            self.deadline = self._loop.time() + KEEP_SECONDS
            self._settled(self)
        else:
            self._end(None)

    def _lost(self, error: Exception | None) -> None:
        response = self.response
        if response is None:
            self._end(None)
        elif self._until_closed and error is None:
            response.complete = True
            self._end(None)
        else:
            when = "in the middle of its answer" if self._arrived else "before it answered"
            response.unanswered = not self._arrived
            self._end(UpstreamFailed(f"{self.peer} {'reset' if error else 'closed'} the connection {when}."))

    def _end(self, failure: SluiceError | None) -> None:
        """The connection is of no more use; whoever waits for more learns why."""
        response, self.response = self.response, None
        self._unsent = None
        if response is not None and not response.complete:
            response.failure = failure
        self._gone(self)
        if self.transport is not None:
            self.transport.abort()
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
