"""What only our own client does: flow control, and what it makes of broken HTTP."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from gateway.upstream.http1 import HIGH_WATER
from gateway.upstream.pool import Pool
from sluice.errors import UpstreamFailed
from sluice.settings import UpstreamSettings
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream

MIB = 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


async def ask(pool: Pool, body: bytes = b"{}") -> bytes:
    return await (await pool.request("POST", "/chat/completions", body)).read()


async def test_a_slow_reader_slows_the_upstream(pool: Pool, scripted_upstream: ScriptedUpstream) -> None:
    event = b"x" * (MIB // 4)
    scripted_upstream.next(Behaviour(events=[event] * 128))
    response = await pool.request("POST", "/chat/completions", b"{}")
    [request] = scripted_upstream.requests
    await asyncio.to_thread(scripted_upstream.wait_until_stuck)
    assert request.answer_bytes < 16 * MIB  # what both kernels' buffers hold, and a little here
    largest = total = 0
    while part := await response.chunk():
        largest, total = max(largest, len(part)), total + len(part)
    assert total == 32 * MIB
    assert largest <= HIGH_WATER + 2 * 256 * 1024  # a loop reads at most 256 KiB at a time
    assert await ask(pool)
    assert scripted_upstream.connections == 1


async def test_an_upstream_that_does_not_read_gets_no_more_written() -> None:
    may_read, ended = asyncio.Event(), asyncio.Semaphore(0)
    received = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: %d\r\n" % len(body) in head
        await may_read.wait()
        while received < len(body):
            received += len(await reader.read(MIB))
        writer.write(OK + b"ok")
        await reader.read()
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()
        ended.release()

    body = b"x" * (32 * MIB)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        pool = Pool(urlsplit(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), UpstreamSettings(), None)
        asking = asyncio.create_task(ask(pool, body))
        async with asyncio.timeout(60):
            while not any(one.transport and one.transport.get_write_buffer_size() for one in pool.open):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        [connection] = pool.open
        assert connection.transport is not None
        assert connection.transport.get_write_buffer_size() < MIB
        may_read.set()
        assert await asking == b"ok"
        await pool.close()
        await asyncio.wait_for(ended.acquire(), 60)


async def test_an_answer_before_the_request_was_sent() -> None:
    """A server that refuses a body after its head answers and goes; the answer counts, the connection does not."""
    connections = 0
    ended = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig")
        with suppress(ConnectionResetError):
            while await reader.read(MIB):
                pass
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()
        ended.release()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        pool = Pool(urlsplit(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), UpstreamSettings(), None)
        for _ in range(2):
            response = await pool.request("POST", "/chat/completions", b"x" * (32 * MIB))
            assert (response.status, await response.read()) == (413, b"big")
            await asyncio.wait_for(ended.acquire(), 60)
        assert connections == 2
        assert not pool.open
        await pool.close()


@pytest.mark.parametrize("trailing", [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", b"x", b"\0\r\n"])
async def test_bytes_after_an_answer_never_reach_the_next(
    pool: Pool, scripted_upstream: ScriptedUpstream, trailing: bytes
) -> None:
    scripted_upstream.next(Behaviour(raw=OK + b"ok" + trailing), Behaviour(raw=OK + b"no"))
    assert await ask(pool) == b"ok"
    assert not pool.open
    assert await ask(pool) == b"no"
    assert scripted_upstream.connections == 2


async def test_bytes_on_an_idle_connection_end_it(pool: Pool, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(body="ok"))
    assert await ask(pool) == b"ok"
    assert len(pool.open) == 1
    scripted_upstream.send_unasked(OK + b"no")
    await scripted_upstream.until(lambda: not pool.open)
    assert await ask(pool) != b"no"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n folded\r\n\r\nok",
        b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        b"HTTP/1.1 099 No\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 600 No\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 66_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3_000,
    ],
    ids=["both", "both 2", "twice", "negative", "folded", "bare lf", "status 99", "status 600", "huge", "endless 1xx"],
)
async def test_what_is_not_valid_http(pool: Pool, scripted_upstream: ScriptedUpstream, raw: bytes) -> None:
    scripted_upstream.next(Behaviour(raw=raw))
    with pytest.raises(UpstreamFailed, match=str(scripted_upstream.port)):
        await ask(pool)
    assert not pool.open


async def test_a_transfer_coding_we_do_not_know_cannot_end_cleanly(
    pool: Pool, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nab", close=True))
    with pytest.raises(UpstreamFailed):
        await ask(pool)


async def test_trailers_are_not_headers(pool: Pool, scripted_upstream: ScriptedUpstream) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-after: 1\r\n\r\n"
    scripted_upstream.next(Behaviour(raw=chunked))
    response = await pool.request("POST", "/chat/completions", b"{}")
    assert await response.read() == b"ok"
    assert response.headers == [(b"transfer-encoding", b"chunked")]


async def test_a_head_that_comes_with_the_break_is_still_an_answer(
    pool: Pool, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart", close=True))
    response = await pool.request("POST", "/chat/completions", b"{}")
    assert (response.status, await response.chunk()) == (200, b"part")
    with pytest.raises(UpstreamFailed):
        await response.chunk()
