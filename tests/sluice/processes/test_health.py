import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sluice.processes.health import is_healthy

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


@asynccontextmanager
async def server(answer: bytes, stay_open: bool = False) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if stay_open:
            await reader.read()
        writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/health"


async def test_only_200_is_healthy() -> None:
    async with server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", stay_open=True) as url:
        assert await is_healthy(url, 60)
    async with server(b"HTTP/1.1 503 Service Unavailable\r\n\r\n") as url:
        assert not await is_healthy(url, 60)


async def test_whoever_does_not_speak_http_is_not_healthy() -> None:
    for answer in (b"", b"\r\n", b"SSH-2.0-OpenSSH\r\n", b"x" * 100_000):
        async with server(answer) as url:
            assert not await is_healthy(url, 60)


async def test_refused_and_silent_are_not_healthy() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not await is_healthy(f"http://127.0.0.1:{unused.getsockname()[1]}/health", 60)
    async with server(b"", stay_open=True) as url, asyncio.timeout(60):
        assert not await is_healthy(url, 0.1)
