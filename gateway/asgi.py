"""A request as ASGI has it, for the endpoints that are FastAPI's, which are not the hot path."""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Scope

from gateway.request import Request
from gateway.upstream.header import render
from sluice.errors import SluiceError

log = logging.getLogger(__name__)


async def answer_by_asgi(application: ASGIApp, request: Request) -> None:
    """Have an application answer; it may end its work though the client has left."""
    call = AsgiCall(request)
    tasks = request.connection.server_state.tasks  # which the server lets end before it stops
    tasks.add(request.task)
    try:
        await application(call.scope, call.receive, call.send)
    except Exception:
        if not request.answered:  # Starlette raises again what it has answered with 500, and logged
            log.exception("unexpected error at %s", request.path)
    finally:
        tasks.discard(request.task)
    if not request.answered:
        request.abort()


class AsgiCall:
    """One call of an application: its `scope`, `receive` and `send`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._body_read = False
        self._over = asyncio.Event()
        request.on_gone = self._over.set
        transport = request.connection.transport
        self.scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.version,
            "server": transport.get_extra_info("sockname"),
            "client": transport.get_extra_info("peername"),
            "scheme": "http",
            "root_path": "",
            "method": request.method.decode("ascii"),
            "path": request.path,
            "query_string": request.query,
            "headers": request.headers,
        }

    async def receive(self) -> Message:
        """The whole body, which is not waited for before the application wants it; then the end of the call.

        Raises:
            SluiceError: as `Request.body`.
        """
        if self._body_read:
            await self._over.wait()
            return {"type": "http.disconnect"}
        self._body_read = True
        try:
            body = await self._request.body()
        except SluiceError:
            self._request.keep_alive = False  # the body was not read to its end
            raise
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer."""
        if message["type"] == "http.response.start":
            headers = [(name.lower(), value) for name, value in message["headers"]]
            self._request.start(
                message["status"], render(headers), sized=any(n == b"content-length" for n, _ in headers)
            )
            return
        if message.get("more_body", False):
            await self._request.write(message["body"])
        else:
            self._request.end(message.get("body", b""))
            self._over.set()
