"""Asking a process over HTTP whether it is well, without a client library."""

import asyncio
from urllib.parse import urlsplit


async def is_healthy(url: str, timeout_seconds: float) -> bool:
    """Whether a GET of `url` is answered with 200 in time."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _status(url) == 200
    except (OSError, TimeoutError, ValueError, IndexError):  # refused, silent, or not HTTP
        return False


async def _status(url: str) -> int:
    parts = urlsplit(url)
    assert parts.hostname is not None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
