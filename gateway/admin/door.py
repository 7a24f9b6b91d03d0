"""The way into /admin: who asks is known, and the body within its bound, before FastAPI parses anything."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from gateway.admin.access import Caller
from gateway.request import read_head
from sluice.errors import RequestTooLarge
from sluice.identity import Keyring

BODY_BYTES = 64 * 1024
AT_ONCE = 8
"""Requests that use the database, in threads: the rest of the pool's connections stay for keys and usage records."""


def route_class(keyring: Keyring) -> type[APIRoute]:
    """What the endpoints under /admin are made of.

    Their requests end with NotAuthenticated, NotAllowed or RequestTooLarge before anything is parsed.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    class AdminRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()

            async def enter(request: Request) -> Response:
                token, _, _ = read_head(request.scope["headers"])
                request.state.caller = Caller.of(await keyring.authenticate(token))
                if len(await request.body()) > BODY_BYTES:
                    raise RequestTooLarge(f"The request's body is larger than {BODY_BYTES} bytes.")
                async with slots:
                    return await answer(request)

            return enter

    return AdminRoute
