"""An answer as our own client reads it: the connection fills it, the caller empties it."""

from typing import TYPE_CHECKING

from sluice.errors import SluiceError, UpstreamFailed

if TYPE_CHECKING:
    from gateway.upstream.http1 import Connection


class Response:
    """What one request got; implements `UpstreamResponse`."""

    __slots__ = (
        "_connection",
        "complete",
        "failure",
        "headers",
        "idle_seconds",
        "pieces",
        "size",
        "status",
        "unanswered",
    )

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self.idle_seconds = connection.settings.idle_seconds
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.size = 0
        self.complete = False
        self.failure: SluiceError | None = None
        self.unanswered = False

    @property
    def content_type(self) -> bytes:
        for name, value in self.headers:
            if name == b"content-type":
                return value
        return b""

    async def chunk(self) -> bytes:
        while not self.pieces:
            if self.complete:
                return b""
            if self.failure is not None:
                raise self.failure
            await self._connection.wait("idle_seconds", self.idle_seconds)
        data = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces.clear()
        self.size = 0
        if self._connection.response is self:
            self._connection.resume_reading()
        return data

    async def read(self) -> bytes:
        connection, limit = self._connection, self._connection.settings.response_bytes
        if self.complete and self.size <= limit:  # most answers came in one packet
            body = b"".join(self.pieces)
            self.pieces.clear()
            self.size = 0
            return body
        parts: list[bytes] = []
        size = 0
        while part := await self.chunk():
            parts.append(part)
            size += len(part)
            if size > limit:
                self.close()
                raise UpstreamFailed(f"{connection.peer} sent an answer of more than {limit} bytes (response_bytes).")
        return b"".join(parts)

    def close(self) -> None:
        if self._connection.response is self:
            self._connection.abort()
