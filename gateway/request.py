"""One request of a client: what the gateway reads of it, and the way back for its answer."""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec
from httptools import parse_url

from gateway.request_id import REQUEST_ID
from gateway.upstream import Header
from sluice.errors import RequestTooLarge, SluiceError, openai_body

if TYPE_CHECKING:
    from gateway.protocol import ClientConnection

PARENT_HEADER = b"x-sluice-parent"
SESSION_HEADER = b"x-session-id"
"""What vLLM's router keeps on one replica; else it would go by the request's id, which is another each time."""
NOTED_HEADERS = frozenset({b"authorization", b"traceparent", b"tracestate", SESSION_HEADER, PARENT_HEADER})
"""The trace's two and the session's go upstream; the others are for the gateway itself."""
HELD_BYTES = 64 * 1024
"""Of a body that nobody waits for yet; then reading is paused."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINE = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(600)]
WITHOUT_BODY = frozenset({204, 304})


class ClientGone(SluiceError):
    """The client left before it had its answer. Nobody is there to read it; 499 stands in the usage record."""

    status = 499
    code = "client_gone"

    def __init__(self) -> None:
        super().__init__("The client closed the connection before it had its answer.")


class Request:
    """A request whose head is there; its connection feeds it the body.

    Its answer goes out by `send`, or by `start`, `write` and `end`; once the client has left, into nothing. Headers of an
    answer are rendered, each with its line end.

    Attributes:
        path: without its escapes; `query`: as it came.
        headers: names in lower case.
        started: when its first byte was read, by `time.perf_counter`.
        keep_alive: whether the connection stays open after the answer; counts when that begins.
        complete: all of the body is there.
        answered: all of the answer is sent.
        gone: the client left before that; `on_gone` is called when it does.
        task: what answers it.
    """

    # Defaults stand on the class: most requests never change them, and setting them on each would cost time.
    task: asyncio.Task[None]
    complete = False
    answered = False
    gone = False
    on_gone: Callable[[], object] | None = None
    _size = 0
    _reader: asyncio.Future[None] | None = None
    _refusal: SluiceError | None = None
    _continued = False
    _chunked = False
    _silent = False

    def __init__(
        self,
        connection: "ClientConnection",
        method: bytes,
        target: bytes,
        headers: list[Header],
        version: str,
        started: float,
        *,
        keep_alive: bool,
    ) -> None:
        """Raises httptools' `HttpParserInvalidURLError` or `UnicodeDecodeError`: the target is none."""
        self.connection = connection
        self.method = method
        self.path, self.query = parse_target(target)
        self.headers = headers
        self.version = version
        self.started = started
        self.keep_alive = keep_alive
        self._pieces: list[bytes] = []

    # The body.

    async def body(self) -> bytes:
        """All of it, once.

        Raises:
            RequestTooLarge: more than `limits.body_bytes` was announced or sent.
            RequestTimeout: it did not arrive within `limits.body_seconds`.
            InvalidRequest: it is not framed as HTTP says.
            ClientGone: the connection closed before it was complete, or since.
        """
        self.connection.resume_reading()  # a client that leaves must be noticed, too
        if not self.complete:
            await self._wait_for_body()
        if self.gone:
            raise ClientGone
        body = b"".join(self._pieces)
        self._pieces.clear()
        return body

    async def _wait_for_body(self) -> None:
        headers = dict(self.headers)
        if int(headers.get(b"content-length", b"0")) > self.connection.limits.body_bytes:
            raise self._too_large()
        if self._refusal is None and not self.gone:
            if headers.get(b"expect", b"").lower() == b"100-continue":
                self._continued = True
                self.connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        if self._refusal is not None:
            raise self._refusal

    @property
    def awaits_body(self) -> bool:
        """Whether somebody waits for the rest of the body."""
        return self._reader is not None

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        if self.answered or self._refusal is not None:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self.connection.limits.body_bytes:
            self.refuse_body(self._too_large())
        elif self._size > HELD_BYTES and self._reader is None:
            self.connection.pause_reading()

    def end_body(self) -> None:
        """Nothing more comes."""
        self.complete = self._refusal is None
        self._wake_reader()

    def refuse_body(self, error: SluiceError) -> None:
        """Whoever wants the body gets this error instead."""
        self._refusal = error
        self._pieces.clear()
        self._wake_reader()

    def leave(self) -> None:
        """The client has closed the connection."""
        self.gone = True
        self._wake_reader()
        if self.on_gone is not None:
            self.on_gone()
            self.on_gone = None

    def _wake_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)

    def _too_large(self) -> RequestTooLarge:
        return RequestTooLarge(
            f"The request's body is larger than {self.connection.limits.body_bytes} bytes.",
            fix="Send less, or have gateway.limits.body_bytes raised.",
        )

    # The answer.

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer, whose length stands in its headers."""
        if not self.gone:
            head = self._head(status, headers)
            self.connection.transport.write(head if self.method == b"HEAD" else head + body)
        self._answered()

    def start(self, status: int, headers: bytes, *, sized: bool = False) -> None:
        """The head of an answer; `sized`: the length of its body stands there."""
        self._silent = self.method == b"HEAD" or status in WITHOUT_BODY
        if not self._silent and not sized:
            if self.version == "1.1":
                self._chunked = True
                headers += b"transfer-encoding: chunked\r\n"
            else:
                self.keep_alive = False
        if not self.gone:
            self.connection.transport.write(self._head(status, headers))

    async def write(self, piece: bytes) -> None:
        """The next piece; returns when the client takes more, or has left."""
        self._write(piece)
        if self.connection.write_paused:
            await self.connection.writable.wait()

    def end(self, piece: bytes = b"") -> None:
        """The last piece, and the end of the answer."""
        self._write(piece)
        if self._chunked and not self.gone:
            self.connection.transport.write(b"0\r\n\r\n")
        self._answered()

    def abort(self) -> None:
        """Break off an answer that has begun, so that nobody takes it for whole."""
        if not self.gone:
            self.connection.transport.abort()

    def _write(self, piece: bytes) -> None:
        if piece and not self._silent and not self.gone:
            self.connection.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)

    def _head(self, status: int, headers: bytes) -> bytes:
        if not (self.complete or self._continued) and any(name == b"expect" for name, _ in self.headers):
            self.keep_alive = False  # the body may never come, and a further request must not be taken for it
        close = b"" if self.keep_alive else b"connection: close\r\n"
        return b"%bdate: %b\r\n%b%b\r\n" % (STATUS_LINE[status], self.connection.date, headers, close)

    def _answered(self) -> None:
        self.answered = True
        self.on_gone = None
        self._pieces.clear()
        if not self.gone:
            self.connection.answered(self)


@lru_cache(64)
def parse_target(target: bytes) -> tuple[str, bytes]:
    """The path and the query of a request line's target, which may be a whole URL."""
    url = parse_url(target)
    return unquote(url.path.decode("ascii")), url.query or b""


def read_head(headers: list[Header]) -> tuple[bytes | None, list[Header], str | None]:
    """The bearer token, the headers that go upstream, and the parent's id, if it is one."""
    token: bytes | None = None
    parent: str | None = None
    forwarded: list[Header] = []
    for header in headers:
        name, value = header
        if name in NOTED_HEADERS:
            if name == b"authorization":
                if value[:7].lower() == b"bearer ":
                    token = value[7:].strip()
            elif name == PARENT_HEADER:
                parent = value.decode() if REQUEST_ID.fullmatch(value) else None
            else:
                forwarded.append(header)
    return token, forwarded, parent


def render_error(error: SluiceError) -> tuple[bytes, bytes]:
    """OpenAI's error object, and the headers it is sent with."""
    body = msgspec.json.encode(openai_body(error))
    return b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body), body
