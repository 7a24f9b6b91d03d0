"""The way into /admin: who asks is known, and the body read within its bound, before FastAPI sees a request."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message

from gateway.admin.access import Caller
from gateway.request import read_body, read_head
from sluice.errors import RequestTimeout
from sluice.identity import Keyring
from sluice.settings import LimitSettings

BODY_BYTES = 64 * 1024
AT_ONCE = 8
"""Requests that use the database, in threads: the rest of the pool's connections stay for keys and usage records."""


def route_class(keyring: Keyring, limits: LimitSettings) -> type[APIRoute]:
    """What the endpoints under /admin are made of.

    Their requests end with NotAuthenticated, NotAllowed, RequestTooLarge or RequestTimeout before anything is parsed.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    class AdminRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()

            async def enter(request: Request) -> Response:
                token, length, _, _ = read_head(request.scope)
                request.state.caller = Caller.of(await keyring.authenticate(token))
                try:
                    async with asyncio.timeout(limits.body_seconds):
                        body = await read_body(request.receive, length, BODY_BYTES)
                except TimeoutError:
                    raise RequestTimeout("The request's body did not arrive in time.") from None

                async def receive() -> Message:
                    return {"type": "http.request", "body": body, "more_body": False}

                async with slots:
                    return await answer(Request(request.scope, receive))

            return enter

    return AdminRoute
