"""The server's side of HTTP/1.1, on httptools: requests in, one after the other to whoever answers them, and limits for
all that a client can do or leave undone: the size of a head and the time it takes, a body that does not come, a connection
that stays silent, an answer that is not read.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.server import ServerState

from gateway.request import STATUS_LINE, Request, render_error
from gateway.telemetry.loop_wait import LoopWait
from gateway.upstream import Header
from sluice.errors import InvalidRequest, RequestTimeout, SluiceError
from sluice.settings import LimitSettings

BODY_HEADERS = (b"content-length", b"transfer-encoding")
PIPELINED = 16
"""Requests that may wait for their turn on one connection before it is read no further."""

LEAST_BESIDE = 3
"""Bytes of a header beside its name and its value: the colon and the line's end."""

_DISCARD = cast(list[Header], deque[Header](maxlen=0))
"""Takes the trailers after a chunked body, which must not pass for headers (RFC 9110, section 6.5.1)."""


class HeadTooLarge(InvalidRequest):
    """The request's line and headers are too long (RFC 6585, section 5)."""

    status = 431
    code = "headers_too_large"


class ClientConnection(asyncio.Protocol):
    """One client's connection, as uvicorn's server makes it.

    Its deadline is looked at once a second by the server: a timer a request would cost a tenth of it.

    Args:
        answer: what answers a request, in a task of its own.
        server_state: uvicorn's, for its lists of what must end before it stops, and the current date.

    Attributes:
        waiting: requests behind the one that is being answered.
        deadline: when the client must have done what it has to do next (`time.perf_counter`); None: nothing.
    """

    transport: asyncio.Transport

    def __init__(
        self,
        answer: Callable[[Request], Coroutine[Any, Any, None]],
        limits: LimitSettings,
        loop_wait: LoopWait,
        *,
        server_state: ServerState,
        **_: object,
    ) -> None:
        self.limits = limits
        self.server_state = server_state
        self.waiting: deque[Request] = deque()
        self.deadline: float | None = None
        self.writable = asyncio.Event()
        self.writable.set()
        self.write_paused = False
        self._answer = answer
        self._loop_wait = loop_wait
        self._fresh = True
        self._loop = asyncio.get_running_loop()
        self._parser = HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._read_paused = False
        self._reading_head = False
        self._read_bytes = 0  # since the last that was a request's body or its end
        self._target = b""
        self._headers: list[Header] = []
        self._began = 0.0
        self._receiving: Request | None = None
        self._answering: Request | None = None
        self._refusal: SluiceError | None = None

    @property
    def date(self) -> bytes:
        """Now, as a header has it; uvicorn renders it once a second."""
        return self.server_state.default_headers[0][1]

    def close_if_late(self, now: float) -> None:
        """If the client has missed its deadline, refuse the body that somebody waits for, else close at once."""
        if self.deadline is None or self.deadline >= now:
            return
        request = self._answering
        if request is not None and request.awaits_body:
            self.deadline = now + self.limits.idle_seconds
            request.refuse_body(RequestTimeout("The request's body did not arrive in time."))
        else:
            self.transport.abort()

    def shutdown(self) -> None:
        """Close, after the answer that is under way."""
        if self._answering is None:
            self._close()
        else:
            self._answering.keep_alive = False

    def pause_reading(self) -> None:
        """Until `resume_reading`, which may come twice."""
        if not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Undoes `pause_reading`, if there was one."""
        if self._read_paused:
            self._read_paused = False
            self.transport.resume_reading()

    def answered(self, request: Request) -> None:
        """A request's answer is written, and the next one's turn has come."""
        self._answering = None
        if not self.write_paused and not self._reading_head:
            self.deadline = time.perf_counter() + self.limits.idle_seconds
        if request.keep_alive:
            self.resume_reading()
            self._go_on()
        else:
            self._close()

    # The transport calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.deadline = time.perf_counter() + self.limits.idle_seconds
        self.server_state.connections.add(self)  # pyright: ignore[reportArgumentType]

    def connection_lost(self, exc: Exception | None) -> None:
        self.server_state.connections.discard(self)  # pyright: ignore[reportArgumentType]
        self.writable.set()
        self.waiting.clear()
        request = self._answering
        self._answering = self._receiving = None  # they lead back here, and so does the parser
        del self._parser
        if request is not None:
            request.leave()

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._read_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # it is answered in HTTP/1.1 and then closed
        except HttpParserError as error:
            refusal = error.__context__
            if not isinstance(refusal, SluiceError):
                refusal = InvalidRequest("The request is not valid HTTP/1.1.", code="invalid_http")
            self._refuse(refusal)
        if self._read_bytes > self.limits.header_bytes:  # a head, or what only frames a body: extensions, trailers
            self._refuse(self._head_too_large())
        self._go_on()

    def pause_writing(self) -> None:
        self.write_paused = True
        self.writable.clear()
        self.deadline = time.perf_counter() + self.limits.idle_seconds

    def resume_writing(self) -> None:
        self.write_paused = False
        self.writable.set()
        self.deadline = time.perf_counter() + self.limits.idle_seconds if self._answering is None else None
        self._go_on()

    # The parser calls these.

    def on_message_begin(self) -> None:
        self._began = time.perf_counter()
        self._loop_wait.sample(self.transport, first=self._fresh)
        self._fresh = False
        self._reading_head = True
        self._target = b""
        self._headers = []
        if not self.write_paused:  # else a further request would excuse a client that does not read
            self.deadline = self._began + self.limits.header_seconds

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self._headers
        if self._read_bytes > self.limits.header_bytes:  # though part of it may be the body
            size = len(self._target) + sum(len(name) + len(value) + LEAST_BESIDE for name, value in headers)
            if size > self.limits.header_bytes:
                raise self._head_too_large()
        upgrade = parser.should_upgrade()
        if upgrade and any(name in BODY_HEADERS for name, _ in headers):
            # The parser would take its body for further requests.
            raise InvalidRequest("A request with a body cannot ask for an upgrade.", code="invalid_http")
        version = parser.get_http_version()
        keep_alive = version == "1.1" and not upgrade and parser.should_keep_alive()
        self._receiving = Request(
            self, parser.get_method(), self._target, headers, version, self._began, keep_alive=keep_alive
        )
        self._reading_head = False
        self._headers = _DISCARD
        if not self.write_paused:
            self.deadline = None
        self.waiting.append(self._receiving)
        if len(self.waiting) > PIPELINED:
            self.pause_reading()

    def on_body(self, piece: bytes) -> None:
        self._read_bytes = 0
        if self._receiving is not None:
            self._receiving.feed(piece)

    def on_message_complete(self) -> None:
        self._read_bytes = 0
        request = self._receiving
        if request is not None:
            request.end_body()
            if request is self._answering and not self.write_paused:
                self.deadline = None

    # What follows from what they said.

    def _go_on(self) -> None:
        """Begin with the next request if it is its turn, and the client reads."""
        if self._answering is not None or self.write_paused:
            return
        if self.waiting:
            request = self._answering = self.waiting.popleft()
            if not request.complete:
                self.deadline = time.perf_counter() + self.limits.body_seconds
            request.task = self._loop.create_task(self._answer(request))
        elif self._refusal is not None and not self.transport.is_closing():
            line = STATUS_LINE[self._refusal.status]
            headers, body = render_error(self._refusal)
            self.transport.write(b"%b%bconnection: close\r\n\r\n%b" % (line, headers, body))
            self._close()

    def _close(self) -> None:
        """What is written still goes out; what waits is not answered."""
        self.waiting.clear()
        self.transport.close()

    def _refuse(self, error: SluiceError) -> None:
        """Read no further: what came is no request, or not the body of the one that was being received."""
        self._refusal = error
        request = self._receiving
        if request is not None and not request.complete and not request.answered:
            request.keep_alive = False
            request.refuse_body(error)

    def _head_too_large(self) -> HeadTooLarge:
        return HeadTooLarge(f"The request's line and headers are longer than {self.limits.header_bytes} bytes.")
