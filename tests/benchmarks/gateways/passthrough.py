"""A bare ASGI application that hands requests on with the aiohttp client; runs in a scratch environment."""

import json
import os
from typing import Any

import aiohttp

UPSTREAM = os.environ["UPSTREAM"]
KEPT_HEADERS = (b"content-type", b"content-length")
session: aiohttp.ClientSession


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    json.loads(body)["model"]
    headers = {"content-type": "application/json"}
    async with session.post(UPSTREAM + scope["path"], data=body, headers=headers) as response:
        kept = [(name.lower(), value) for name, value in response.raw_headers if name.lower() in KEPT_HEADERS]
        await send({"type": "http.response.start", "status": response.status, "headers": kept})
        async for data in response.content.iter_any():
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _lifespan(receive: Any, send: Any) -> None:
    global session
    await receive()
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await session.close()
    await send({"type": "lifespan.shutdown.complete"})
