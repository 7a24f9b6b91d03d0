"""The connections to one upstream: reused last in, first out, never more than `connections`."""

import asyncio
from collections.abc import Sequence
from urllib.parse import SplitResult, quote

from gateway.upstream.failures import NotConnectedInTime
from gateway.upstream.header import Header, render
from gateway.upstream.http1 import Connection
from gateway.upstream.response import Response
from sluice.errors import SEND_AGAIN, Overloaded, UpstreamUnreachable
from sluice.settings import UpstreamSettings

HEADS_KEPT = 64
PATH_SAFE = "/?&=%:@!$'()*+,;~"
"""What a path and query may hold as it is (RFC 3986); the rest is percent-encoded."""


class Pool:
    """Plain `http://`; implements `Upstream`."""

    def __init__(self, url: SplitResult, settings: UpstreamSettings, api_key: str | None) -> None:
        self._host = url.hostname or ""
        self._port = url.port or 80
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._peer = f"{host}:{self._port}"
        self._settings = settings
        self._base_path = url.path.rstrip("/")
        self._same_for_all = f" HTTP/1.1\r\nhost: {self._peer}\r\naccept-encoding: identity\r\n" + (
            f"authorization: Bearer {api_key}\r\n" if api_key else ""
        )
        self.heads: dict[tuple[str, str], bytes] = {}
        self._idle: dict[Connection, None] = {}
        self.open: set[Connection] = set()
        self._ticker: asyncio.TimerHandle | None = None
        self._tick_seconds = min(0.25, settings.first_byte_seconds / 4, settings.idle_seconds / 4)

    async def request(self, method: str, path: str, body: bytes = b"", headers: Sequence[Header] = ()) -> Response:
        head = self._head(method, path, body, headers)
        fresh = False
        while True:
            connection = None if fresh else self._take_idle()
            if connection is None:
                fresh = True
                connection = await self._connect()
            response = connection.send(head, body, without_body=method == "HEAD")
            await connection.wait("first_byte_seconds", self._settings.first_byte_seconds)
            if response.failure is None or response.status:  # a failure after the head is for whoever reads the body
                return response
            if fresh or not response.unanswered:
                raise response.failure
            fresh = True  # it was closed as idle while the request was on its way

    async def close(self) -> None:
        for connection in list(self.open):
            connection.abort()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        await asyncio.sleep(0)  # the transports close their sockets in the loop's next turn

    def _head(self, method: str, path: str, body: bytes, headers: Sequence[Header]) -> bytes:
        """The request's head.

        Raises:
            ValueError: a header holds a line break.
        """
        head = self.heads.get((method, path)) or self._fixed_head(method, path)
        if headers:
            head += render(headers)
        if body:
            return b"%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (head, len(body))
        return head + (b"\r\n" if method in ("GET", "HEAD") else b"content-length: 0\r\n\r\n")

    def _fixed_head(self, method: str, path: str) -> bytes:
        target = self._base_path + quote(path, safe=PATH_SAFE)
        if len(self.heads) >= HEADS_KEPT:
            self.heads.clear()
        head = self.heads[method, path] = f"{method} {target}{self._same_for_all}".encode("latin-1")
        return head

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.transport is not None and not connection.transport.is_closing():
                return connection
            self._gone(connection)
        return None

    async def _connect(self) -> Connection:
        if len(self.open) >= self._settings.connections:
            if not self._idle:
                raise Overloaded(
                    f"All {self._settings.connections} connections to {self._peer} are in use.",
                    fix=SEND_AGAIN,
                )
            next(iter(self._idle)).abort()
        connection = Connection(self._peer, self._settings, self._settled, self._gone)
        self.open.add(connection)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._settings.connect_seconds):
                await loop.create_connection(lambda: connection, self._host, self._port)
        except BaseException as error:
            connection.abort()
            if isinstance(error, TimeoutError):
                seconds = self._settings.connect_seconds
                raise NotConnectedInTime(
                    f"No connection to {self._peer} within {seconds:g} s (connect_seconds)."
                ) from None
            if isinstance(error, OSError | UnicodeError):  # a host name that cannot be one is a UnicodeError
                raise UpstreamUnreachable(f"No connection to {self._peer}: {error}.") from None
            raise
        if self._ticker is None:
            self._ticker = loop.call_later(self._tick_seconds, self._tick)
        return connection

    def _settled(self, connection: Connection) -> None:
        self._idle[connection] = None

    def _gone(self, connection: Connection) -> None:
        self.open.discard(connection)
        self._idle.pop(connection, None)

    def _tick(self) -> None:
        """Deadlines are checked here for all connections, so that a request costs no timer."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self.open):
            if connection.deadline <= now:
                connection.expire()
        self._ticker = loop.call_later(self._tick_seconds, self._tick) if self.open else None
