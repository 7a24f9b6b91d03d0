"""An upstream behind TLS or a proxy, through httpx; implements `Upstream`.

HTTP/1.1 only, on purpose: httpcore's HTTP/2 never resets a stream that is given up (it sends no RST_STREAM), so a model
would go on generating, and billing, for a client that left.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from gateway.upstream.failures import NotConnectedInTime
from gateway.upstream.pool import PATH_SAFE
from sluice.errors import SEND_AGAIN, Overloaded, UpstreamFailed, UpstreamTimeout, UpstreamUnreachable
from sluice.settings import UpstreamSettings

_CLOSED_WHILE_SENDING = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


class LibraryUpstream:
    """One httpx client for one upstream."""

    def __init__(self, url: str, settings: UpstreamSettings, api_key: str | None, proxy: str | None) -> None:
        parts = urlsplit(url)
        self.peer = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        self.settings = settings
        self._url = url.rstrip("/")
        self.closed = False
        self._in_use = 0
        self._background: set[asyncio.Task[None]] = set()
        self._headers = [(b"accept-encoding", b"identity")]
        if api_key:
            self._headers.append((b"authorization", b"Bearer " + api_key.encode()))
        self._client = httpx.AsyncClient(
            verify=httpx.create_ssl_context(),  # reads SSL_CERT_FILE
            proxy=proxy,
            trust_env=False,  # the proxy is chosen already, and no netrc file may add credentials
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=settings.connections),
            timeout=httpx.Timeout(None, connect=settings.connect_seconds),
        )
        self._client.headers.clear()

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> "LibraryResponse":
        if self._in_use >= self.settings.connections:
            raise Overloaded(
                f"All {self.settings.connections} connections to {self.peer} are in use.",
                fix=SEND_AGAIN,
            )
        self._in_use += 1
        try:
            async with asyncio.timeout(self.settings.first_byte_seconds):
                return LibraryResponse(self, await self._send(method, path, body, headers))
        except BaseException as error:
            self._in_use -= 1
            raise self.explain(error, "first_byte_seconds", self.settings.first_byte_seconds) from None

    async def close(self) -> None:
        self.closed = True
        await self._client.aclose()
        await asyncio.gather(*self._background)

    def give_back(self, response: httpx.Response) -> None:
        """End a request; what of the answer has not come yet is aborted."""
        self._in_use -= 1
        self._in_background(response.aclose())

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def explain(self, error: BaseException, limit: str, seconds: float) -> BaseException:
        """The error of ours that says what happened; cancellation and our own errors stay as they are."""
        match error:
            case httpx.ConnectTimeout():
                seconds = self.settings.connect_seconds
                return NotConnectedInTime(f"No connection to {self.peer} within {seconds:g} s (connect_seconds).")
            case TimeoutError():
                return UpstreamTimeout(f"{self.peer} sent nothing for {seconds:g} s ({limit}).")
            case httpx.ConnectError() | httpx.ProxyError():
                return UpstreamUnreachable(f"No connection to {self.peer}: {error}.")
            case httpx.RemoteProtocolError():
                return UpstreamFailed(f"{self.peer} broke off or does not answer in valid HTTP: {error}.")
            case httpx.HTTPError():
                return UpstreamFailed(f"{self.peer} broke the connection: {error or type(error).__name__}.")
            case _:
                return error

    async def _send(
        self, method: str, path: str, body: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> httpx.Response:
        connected = False
        begun = asyncio.Event()

        async def note_progress(event: str, _: dict[str, Any]) -> None:
            nonlocal connected
            connected = connected or event == "connection.connect_tcp.started"
            if event.endswith("send_request_headers.started"):
                begun.set()
            elif event.endswith("start_tls.started"):  # after a proxy's CONNECT the request itself is still to come
                begun.clear()

        url = self._url + quote(path, safe=PATH_SAFE)
        fields = [*self._headers, *headers, *([(b"content-type", b"application/json")] if body else [])]
        while True:
            request = self._client.build_request(
                method, url, content=body, headers=fields, extensions={"trace": note_progress}
            )
            sending = asyncio.get_running_loop().create_task(self._client.send(request, stream=True))
            try:
                return await asyncio.shield(sending)
            except asyncio.CancelledError:
                self._in_background(_give_up(sending, begun))
                raise
            except _CLOSED_WHILE_SENDING:
                if connected:
                    raise  # else it was closed as idle while the request was on its way


async def _give_up(sending: asyncio.Task[httpx.Response], begun: asyncio.Event) -> None:
    """Cancel a request, though not while it has a new connection and has not begun to use it.

    Cancelled in that moment, httpcore 1.0 keeps the open connection in its pool for ever.
    """
    waiting = asyncio.get_running_loop().create_task(begun.wait())
    await asyncio.wait((sending, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    sending.cancel()
    await asyncio.wait((sending, waiting))
    if not sending.cancelled() and sending.exception() is None:
        await sending.result().aclose()


class LibraryResponse:
    """What one request got; implements `UpstreamResponse`."""

    def __init__(self, upstream: LibraryUpstream, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = [(name.lower(), value) for name, value in response.headers.raw]
        self.idle_seconds = upstream.settings.idle_seconds
        self._upstream = upstream
        self._response = response
        self._parts: AsyncIterator[bytes] = response.aiter_raw()
        self._complete = False
        self._given_back = False

    @property
    def content_type(self) -> bytes:
        return next((value for name, value in self.headers if name == b"content-type"), b"")

    async def chunk(self) -> bytes:
        if self._complete:
            return b""
        seconds = self.idle_seconds
        try:
            async with asyncio.timeout(seconds):
                part = await anext(self._parts, b"")
        except BaseException as error:
            self.close()
            raise self._upstream.explain(error, "idle_seconds", seconds) from None
        if not part:
            if self._given_back or self._upstream.closed:  # to httpx this looks like a clean end
                raise UpstreamFailed(f"The request to {self._upstream.peer} was given up.")
            self._complete = True
            self.close()
        return part

    async def read(self) -> bytes:
        limit = self._upstream.settings.response_bytes
        parts: list[bytes] = []
        size = 0
        while part := await self.chunk():
            parts.append(part)
            size += len(part)
            if size > limit:
                self.close()
                raise UpstreamFailed(
                    f"{self._upstream.peer} sent an answer of more than {limit} bytes (response_bytes)."
                )
        return b"".join(parts)

    def close(self) -> None:
        if not self._given_back:
            self._given_back = True
            self._upstream.give_back(self._response)
