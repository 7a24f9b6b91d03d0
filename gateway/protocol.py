"""uvicorn's HTTP/1.1 protocol with the limits it lacks: the size of a request's head and the time it may take to
arrive, a connection that stays silent, and a client that does not read its answer."""

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.telemetry.loop_wait import LoopWait
from sluice.errors import InvalidRequest, openai_body
from sluice.settings import LimitSettings

DIRECT = "sluice.direct_response"
"""The ASGI extension under which a POST's scope holds its `DirectResponse`."""


BODY_HEADERS = (b"content-length", b"transfer-encoding")


class HeadTooLarge(InvalidRequest):
    """The request's line and headers are too long (RFC 6585, section 5)."""

    status = 431
    code = "headers_too_large"


class DirectResponse:
    """Writes an answer without the way through uvicorn's `send`: for a whole one that takes two calls and two writes,
    a third of what it costs to serve a constant. Each method does nothing and says False where `send` must be used.
    """

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: "LimitedProtocol", cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle

    def whole(self, status: int, headers: bytes, body: bytes) -> bool:
        """A response of known length; `headers` are rendered, each with its line end."""
        cycle, protocol = self._cycle, self._protocol
        if protocol.flow.write_paused or cycle.response_started:
            return False
        cycle.response_started = cycle.response_complete = True
        if not cycle.disconnected:
            date = cycle.default_headers[0][1]
            close = b"" if cycle.keep_alive else b"connection: close\r\n"
            head = b"%bdate: %b\r\n%b%b\r\n" % (STATUS_LINE[status], date, headers, close)
            protocol.transport.write(head + body)
        cycle.message_event.set()
        if not cycle.keep_alive:
            protocol.transport.close()
        cycle.on_response()
        return True

    def piece(self, data: bytes) -> bool:
        """The next piece of a response that `send` has begun without a length."""
        cycle, protocol = self._cycle, self._protocol
        if protocol.flow.write_paused or cycle.disconnected or not cycle.chunked_encoding:
            return False
        protocol.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True


class LimitedProtocol(HttpToolsProtocol):
    """One client connection with a deadline, which the server's tick looks at once a second: no timer a connection."""

    def __init__(self, *arguments: Any, limits: LimitSettings, loop_wait: LoopWait, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        self._loop_wait = loop_wait
        self._fresh = True
        self._deadline: float | None = None
        self._reading_head = False
        self._head_bytes = 0
        self._refusal: InvalidRequest | None = None
        self._answering: RequestResponseCycle | None = None

    def close_if_late(self, now: float) -> None:
        """Close the connection at once if it has missed its deadline (event loop time, seconds)."""
        if self._deadline is not None and self._deadline < now:
            self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._deadline = self.loop.time() + self._limits.idle_seconds

    def connection_lost(self, exc: Exception | None) -> None:
        """uvicorn tells only the newest request of the connection, which may still wait behind the one being answered."""
        super().connection_lost(exc)
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if not self._reading_head:
            self._head_bytes = 0
        elif self._head_bytes > self._limits.header_bytes and not self.transport.is_closing():
            self._refusal = self._too_large()
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._loop_wait.sample(self.transport, first=self._fresh)
        self._fresh = False
        self._reading_head = True
        self._deadline = self.loop.time() + self._limits.header_seconds

    def on_headers_complete(self) -> None:
        if self._head_bytes > self._limits.header_bytes:  # though part of it may be the body
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > self._limits.header_bytes:
                self._refusal = self._too_large()
                raise self._refusal
        assert self.parser is not None
        if self.parser.should_upgrade() and any(name in BODY_HEADERS for name, _ in self.headers):
            # The parser would take its body for further requests.
            self._refusal = InvalidRequest("A request with a body cannot ask for an upgrade.", code="invalid_http")
            raise self._refusal
        self._reading_head = False
        if not self.flow.write_paused:  # else a pipelined request would excuse a client that does not read
            self._deadline = None
        super().on_headers_complete()
        self.headers = []  # what still comes is a trailer, which must not pass for a header (RFC 9110, section 6.5.1)
        if not self.pipeline:
            self._answering = self.cycle
        if self.scope["method"] == "POST":  # the application sees its scope in the loop's next turn
            self.scope["extensions"] = {DIRECT: DirectResponse(self, self.cycle)}  # pyright: ignore[reportGeneralTypeIssues]

    def on_response_complete(self) -> None:
        """uvicorn's, but that the deadline takes the place of a timer for each pause between two requests."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._answering, app = self.pipeline.pop()
            self._start_asgi_task(self._answering, app)
        elif not self._reading_head:
            self._deadline = self.loop.time() + self._limits.idle_seconds

    def pause_writing(self) -> None:
        super().pause_writing()
        self._deadline = self.loop.time() + self._limits.idle_seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        answered = self.cycle is None or self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]
        self._deadline = self.loop.time() + self._limits.idle_seconds if answered else None

    def send_400_response(self, msg: str) -> None:
        """uvicorn's hook for a request that never reaches the application; `msg` is its own wording."""
        error = self._refusal or InvalidRequest("The request is not valid HTTP/1.1.", code="invalid_http")
        body = msgspec.json.encode(openai_body(error))
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[error.status] + head + body)
        self.transport.close()

    def _too_large(self) -> HeadTooLarge:
        return HeadTooLarge(f"The request's line and headers are longer than {self._limits.header_bytes} bytes.")
