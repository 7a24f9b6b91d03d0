"""An OpenAI-compatible HTTP/1.1 server that behaves, or misbehaves, as each test says.

    with ScriptedUpstream() as upstream:
        upstream.next(Behaviour(status=503, body=error_body("busy", status=503)))
        ...                                        # the next request is answered so, those after it normally
        assert upstream.requests[0].path == "/v1/chat/completions"

It runs in a thread with its own event loop, so it serves synchronous and asynchronous tests and a gateway in another
process. A request may carry its own script: a JSON object of `Behaviour`'s fields in the header `x-scripted` or in the
body's field `scripted`.
"""

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Self

import httptools

from tests.doubles.behaviour import Behaviour, RecordedRequest, segments
from tests.doubles.openai_answers import error_body

__all__ = ["Behaviour", "RecordedRequest", "ScriptedUpstream", "error_body"]


@dataclass(eq=False)
class ScriptedUpstream:
    """The server; `url` is its base URL as a route would name it, `origin` the same without `/v1`."""

    tls: ssl.SSLContext | None = None
    port: int = 0
    """0: a free one, chosen at start."""
    default: Behaviour = field(default_factory=Behaviour)
    requests: list[RecordedRequest] = field(default_factory=list)
    connections: int = 0
    """Connections accepted so far."""
    open_connections: int = 0
    _script: deque[Behaviour] = field(default_factory=deque)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted-upstream", daemon=True)
        self._thread.start()
        self._transports: set[asyncio.Transport] = set()
        self._server = self._call(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]
        self.origin = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def next(self, *behaviours: Behaviour) -> None:
        """Queue behaviours for the coming requests, in this order."""
        self._script.extend(behaviours)

    def forget(self) -> None:
        """Forget the requests so far and the behaviours that none of them took."""
        self.requests.clear()
        self._script.clear()

    def drop_connections(self) -> None:
        """Close every open connection now, as a restarting server does."""
        self._call(self._drop())

    def send_unasked(self, data: bytes) -> None:
        """Write to every open connection now, though nobody asked."""
        self._call(self._send(data))

    def stop_listening(self) -> None:
        """From now on connections are refused; open ones live on."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._call(asyncio.sleep(0))

    def wait_until(self, condition: Callable[[], Any], seconds: float = 60) -> None:
        """Block until `condition()` is true; AssertionError after `seconds`. In a coroutine use `until`."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s; requests: {self.requests}"
            time.sleep(0.002)

    async def until(self, condition: Callable[[], Any], seconds: float = 60) -> None:
        """The same without blocking the event loop."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s; requests: {self.requests}"
            await asyncio.sleep(0.002)

    def wait_until_stuck(self) -> None:
        """Block until nothing more can be written, since nobody reads it."""
        before = 0
        while not before or before != self.answer_bytes:
            before = self.answer_bytes
            time.sleep(0.3)

    @property
    def answer_bytes(self) -> int:
        return sum(request.answer_bytes for request in self.requests)

    def behaviour_for(self, request: RecordedRequest) -> Behaviour:
        """The request's own script, else the next queued one that fits its path, else the default."""
        if own := request.header("x-scripted"):
            return Behaviour(**json.loads(own))
        if b'"scripted":' in request.body and isinstance(own := request.json.get("scripted"), dict):
            return Behaviour(**own)
        path = request.path.partition("?")[0]
        for behaviour in list(self._script):
            if behaviour.path == path or (behaviour.path is None and path != "/health"):
                self._script.remove(behaviour)
                return behaviour
        return self.default

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, ssl=self.tls, backlog=1024
        )

    async def _send(self, data: bytes) -> None:
        for transport in self._transports:
            transport.write(data)

    async def _drop(self) -> None:
        for transport in list(self._transports):
            transport.abort()
        await asyncio.sleep(0)

    async def _close(self) -> None:
        self._server.close()
        await self._drop()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Connection(asyncio.Protocol):
    """Parses requests, answers them one after the other in one task."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self.upstream = upstream
        self.parser = httptools.HttpRequestParser(self)
        self.arrived: asyncio.Queue[tuple[RecordedRequest, asyncio.Event]] = asyncio.Queue()
        self.writable = asyncio.Event()
        self.writable.set()
        self.answering: RecordedRequest | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.upstream.connections += 1
        self.upstream.open_connections += 1
        self.number = self.upstream.connections
        self.upstream._transports.add(transport)
        self.task = asyncio.get_running_loop().create_task(self._answer_all())

    def connection_lost(self, exc: Exception | None) -> None:
        self.upstream.open_connections -= 1
        self.upstream._transports.discard(self.transport)
        if self.answering and self.answering.completed_at is None:
            self.answering.disconnected_at = time.monotonic()
        self.task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def on_message_begin(self) -> None:
        self.target, self.fields = b"", list[tuple[str, str]]()

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        method = self.parser.get_method().decode()
        request = RecordedRequest(method, self.target.decode(), self.fields, self.number, received_at=time.monotonic())
        self.parsing, self.body_there = request, asyncio.Event()
        self.upstream.requests.append(request)
        self.arrived.put_nowait((request, self.body_there))

    def on_body(self, data: bytes) -> None:
        self.parsing.body += data

    def on_message_complete(self) -> None:
        self.body_there.set()

    async def _answer_all(self) -> None:
        while True:
            request, body_there = await self.arrived.get()
            self.answering = request
            script = self.upstream._script
            if not (script and script[0].early):
                await body_there.wait()
            behaviour = self.upstream.behaviour_for(request)
            await self._answer(request, behaviour)
            request.completed_at = time.monotonic()
            if behaviour.close or behaviour.framing == "close" or behaviour.version == "1.0":
                self.transport.close()
            elif behaviour.close_idle is not None:
                await asyncio.sleep(behaviour.close_idle)
                self.transport.close()

    async def _answer(self, request: RecordedRequest, behaviour: Behaviour) -> None:
        parts = list(segments(request, behaviour))
        head = len(parts[0][1])
        total = sum(len(data) for _, data in parts)
        stops = {None: None, "in_head": head // 2, "after_head": head, "in_body": head + (total - head) // 2}
        stop_at = behaviour.stop_at if isinstance(behaviour.stop_at, int) else stops[behaviour.stop_at]
        for number, (delay, data) in enumerate(parts):
            if number > 1 and behaviour.go_on is not None:
                while not behaviour.go_on.is_set():
                    await asyncio.sleep(0.005)
            if stop_at is not None and request.answer_bytes >= stop_at:
                break
            if delay:
                await asyncio.sleep(delay)
            await self._write(request, data if stop_at is None else data[: stop_at - request.answer_bytes], behaviour)
        if stop_at is not None:
            if behaviour.stop == "stall":
                await asyncio.Event().wait()
            request.completed_at = time.monotonic()
            if behaviour.stop == "reset":
                _reset_on_close(self.transport)
                self.transport.abort()
            self.transport.close()
            await asyncio.Event().wait()

    async def _write(self, request: RecordedRequest, data: bytes, behaviour: Behaviour) -> None:
        position = 0
        for size in cycle(behaviour.pieces) if behaviour.pieces else [len(data) or 1]:
            piece = data[position : position + size]
            if not piece:
                return
            await self.writable.wait()
            self.transport.write(piece)
            request.answer_bytes += len(piece)
            position += size
            if behaviour.pieces:
                await asyncio.sleep(0.001)


def _reset_on_close(transport: asyncio.Transport) -> None:
    """Make the kernel send RST instead of FIN."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
