"""What both implementations of `Upstream` promise."""

import asyncio
import json
import socket
import threading
from contextlib import suppress

import pytest

from gateway.upstream import Upstream, UpstreamResponse, open_upstream
from gateway.upstream.library import LibraryUpstream
from gateway.upstream.pool import Pool
from sluice.errors import ConfigurationError, Overloaded, SluiceError, UpstreamFailed, UpstreamTimeout
from sluice.settings import UpstreamSettings
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body
from tests.gateway.upstream.conftest import API_KEY, Connect

CHAT = "/chat/completions"
PLAIN = json.dumps({"messages": [{"role": "user", "content": "Say hello"}]}).encode()
STREAM = json.dumps({"messages": [], "stream": True, "stream_options": {"include_usage": True}}).encode()
WORDS = Behaviour(content=("ünï", "🌊"))


async def ask(upstream: Upstream, body: bytes = PLAIN) -> bytes:
    response = await upstream.request("POST", CHAT, body)
    return await response.read()


async def ask_until_answered(upstream: Upstream) -> bytes:
    """For a limit so short that a busy machine may miss it; any other failure stays one."""
    async with asyncio.timeout(60):
        while True:
            with suppress(UpstreamTimeout):
                return await ask(upstream)


async def chunks(response: UpstreamResponse) -> list[bytes]:
    parts: list[bytes] = []
    while part := await response.chunk():
        parts.append(part)
    return parts


async def test_sends_the_request_and_reads_the_answer(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    response = await connect().request("POST", CHAT + "?trace=1", PLAIN, [(b"x-request-id", b"r-1")])
    assert (response.status, response.content_type) == (200, b"application/json")
    assert (b"server", b"scripted") in response.headers
    assert json.loads(await response.read())["object"] == "chat.completion"
    [request] = scripted_upstream.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1/chat/completions?trace=1", PLAIN)
    sent = dict(request.headers)
    assert len(sent) == len(request.headers)
    assert sent.pop("connection", "keep-alive") == "keep-alive"
    assert sent == {
        "host": f"127.0.0.1:{scripted_upstream.port}",
        "authorization": f"Bearer {API_KEY}",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(PLAIN)),
        "x-request-id": "r-1",
    }


async def test_a_request_without_a_body(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    response = await connect().request("GET", "/models")
    assert json.loads(await response.read())["data"][0]["id"] == "scripted"
    response = await connect().request("POST", CHAT)
    await response.read()
    get, post = scripted_upstream.requests
    assert (get.header("content-type"), get.header("content-length")) == (None, None)
    assert (post.header("content-type"), post.header("content-length")) == (None, "0")


async def test_a_path_is_quoted(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    response = await connect().request("GET", "/models/a b\r\nü%2F?x=1")
    assert response.status == 404
    response.close()
    assert scripted_upstream.requests[0].path == "/v1/models/a%20b%0D%0A%C3%BC%2F?x=1"


@pytest.mark.parametrize("status", [101, 600, 999])
async def test_a_status_that_is_none_is_a_failure(
    connect: Connect, scripted_upstream: ScriptedUpstream, status: int
) -> None:
    scripted_upstream.next(Behaviour(raw=b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status))
    upstream = connect(connections=1)
    for _ in range(2):
        with pytest.raises(UpstreamFailed, match="valid HTTP"):
            await upstream.request("GET", "/models")
        scripted_upstream.next(Behaviour(raw=b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status))


async def test_hands_out_a_stream_as_it_comes(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    go_on = threading.Event()
    scripted_upstream.next(Behaviour(go_on=go_on))
    response = await connect().request("POST", CHAT, STREAM)
    first = await response.chunk()
    assert first.startswith(b"data: {")
    go_on.set()
    rest = await chunks(response)
    assert rest[-1].endswith(b"data: [DONE]\n\n")
    assert await response.chunk() == b""


@pytest.mark.parametrize("pieces", [(1,), (2, 3, 1, 7), (50,), (10_000,)])
@pytest.mark.parametrize("body", [PLAIN, STREAM], ids=["plain", "stream"])
async def test_where_the_bytes_are_cut_makes_no_difference(
    connect: Connect, scripted_upstream: ScriptedUpstream, pieces: tuple[int, ...], body: bytes
) -> None:
    upstream = connect()
    scripted_upstream.next(WORDS, Behaviour(content=WORDS.content, pieces=pieces) if pieces != (1,) else WORDS)
    assert await ask(upstream, body) == await ask(upstream, body)


async def test_reuses_connections(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    upstream = connect()
    for body in (PLAIN, STREAM, PLAIN):
        await ask(upstream, body)
        await scripted_upstream.until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    assert scripted_upstream.connections == 1


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour(close=True), Behaviour(version="1.0"), Behaviour(framing="close")],
    ids=["close", "1.0", "end"],
)
@pytest.mark.parametrize("body", [PLAIN, STREAM], ids=["plain", "stream"])
async def test_a_connection_that_ends_with_its_answer(
    connect: Connect, scripted_upstream: ScriptedUpstream, behaviour: Behaviour, body: bytes
) -> None:
    upstream = connect()
    expected = await ask(upstream, body)
    scripted_upstream.next(behaviour)
    assert await ask(upstream, body) == expected
    assert await ask(upstream, body) == expected
    assert scripted_upstream.connections == 2


async def test_skips_interim_responses(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(interim=(100, 103, 102)))
    response = await connect().request("POST", CHAT, PLAIN)
    assert response.status == 200
    assert not any(name == b"x-interim" for name, _ in response.headers)
    assert json.loads(await response.read())


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_answers_without_a_body(
    connect: Connect, scripted_upstream: ScriptedUpstream, method: str, status: int
) -> None:
    upstream = connect()
    scripted_upstream.next(Behaviour(status=status, content_length=30))
    response = await upstream.request(method, "/models")
    assert (response.status, await response.read()) == (status, b"")
    assert await ask(upstream)


async def test_passes_errors_of_the_model_server_through(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(status=400, body=error_body("too long")), Behaviour(error_event_after=2))
    upstream = connect()
    response = await upstream.request("POST", CHAT, PLAIN)
    assert (response.status, json.loads(await response.read())) == (400, error_body("too long"))
    assert b'data: {"error":' in await ask(upstream, STREAM)


@pytest.mark.parametrize("stop", ["close", "reset"])
@pytest.mark.parametrize("stop_at", [0, 1, "in_head", "after_head", "in_body"])
@pytest.mark.parametrize("body", [PLAIN, STREAM], ids=["plain", "stream"])
async def test_an_answer_that_breaks_off(
    connect: Connect, scripted_upstream: ScriptedUpstream, stop_at: int | str, stop: str, body: bytes
) -> None:
    scripted_upstream.next(Behaviour(stop_at=stop_at, stop=stop))
    with pytest.raises(UpstreamFailed, match=f"127.0.0.1:{scripted_upstream.port}") as raised:
        await ask(connect(connections=1), body)
    assert API_KEY not in str(raised.value)
    assert len(scripted_upstream.requests) == 1


async def test_what_came_before_a_break_is_handed_out_first(
    connect: Connect, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(stop_at="in_body", chunk_delay=0.01))
    response = await connect().request("POST", CHAT, STREAM)
    assert (await response.chunk()).startswith(b"data: {")
    with pytest.raises(UpstreamFailed):
        await chunks(response)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(raw=b"garbage\r\n\r\n"),
        Behaviour(raw=b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"),
        Behaviour(raw=b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\nab"),
        Behaviour(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 2\r\n\r\nabc"),
        Behaviour(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        Behaviour(raw=b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        Behaviour(content_length=10_000, close=True),
        Behaviour(headers=[("x-long", "a" * 200_000)]),
    ],
    ids=["garbage", "header", "length", "lengths", "chunk", "switch", "short", "huge head"],
)
async def test_what_is_not_http(connect: Connect, scripted_upstream: ScriptedUpstream, behaviour: Behaviour) -> None:
    scripted_upstream.next(behaviour)
    upstream = connect(connections=1)
    with pytest.raises(UpstreamFailed, match=r"127\.0\.0\.1"):
        await ask(upstream)
    assert await ask(upstream)


async def test_nothing_to_connect_to(connect: Connect) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(UpstreamFailed, match=f"No connection to 127.0.0.1:{port}"):
            await ask(connect(url=f"http://127.0.0.1:{port}/v1"))


async def test_connecting_takes_too_long(connect: Connect) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        with pytest.raises(UpstreamTimeout, match="connect_seconds"):
            await ask(connect(url=f"http://127.0.0.1:{full.getsockname()[1]}", connect_seconds=0.1))
        for client in waiting:
            client.close()


@pytest.mark.parametrize(
    ("stop_at", "body", "limit"),
    [(0, PLAIN, "first_byte_seconds"), ("in_head", PLAIN, "first_byte_seconds"), ("in_body", PLAIN, "idle_seconds"),
     ("in_body", STREAM, "idle_seconds")],
)  # fmt: skip
async def test_an_answer_that_stalls(
    connect: Connect, scripted_upstream: ScriptedUpstream, stop_at: int | str, body: bytes, limit: str
) -> None:
    scripted_upstream.next(Behaviour(stop_at=stop_at, stop="stall"))
    upstream = connect(connections=1, **{"first_byte_seconds": 600, "idle_seconds": 600} | {limit: 0.2})
    with pytest.raises(UpstreamTimeout, match=rf"0\.2 s \({limit}\)"):
        await ask(upstream, body)
    await scripted_upstream.until(lambda: scripted_upstream.requests and scripted_upstream.requests[0].disconnected)
    assert await ask_until_answered(upstream)


async def test_a_slow_reader_is_not_a_slow_upstream(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    response = await connect(idle_seconds=0.5).request("POST", CHAT, STREAM)
    await scripted_upstream.until(lambda: scripted_upstream.requests[0].completed_at)
    await asyncio.sleep(0.8)
    assert (await response.read()).endswith(b"[DONE]\n\n")


async def test_refuses_more_than_its_connections(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(stop_at="in_body", stop="stall"))
    upstream = connect(connections=1)
    response = await upstream.request("POST", CHAT, STREAM)
    with pytest.raises(Overloaded, match="1 connections"):
        await ask(upstream)
    response.close()
    assert await ask(upstream)
    await scripted_upstream.until(lambda: scripted_upstream.requests[0].disconnected)


@pytest.mark.parametrize(
    ("stop_at", "method"), [(0, "request"), ("in_head", "request"), ("in_body", "read"), ("in_body", "chunk")]
)
async def test_cancelling_reaches_the_upstream_at_once(
    connect: Connect, scripted_upstream: ScriptedUpstream, stop_at: int | str, method: str
) -> None:
    async def work() -> None:
        response = await upstream.request("POST", CHAT, STREAM)
        while method == "chunk":
            await response.chunk()
        await response.read()

    scripted_upstream.next(Behaviour(stop_at=stop_at, stop="stall"))
    upstream = connect(connections=1, first_byte_seconds=600, idle_seconds=600)
    task = asyncio.create_task(work())
    await scripted_upstream.until(lambda: scripted_upstream.requests and scripted_upstream.requests[0].body)
    [request] = scripted_upstream.requests
    await scripted_upstream.until(lambda: request.answer_bytes or stop_at == 0)
    await asyncio.sleep(0.05)  # by now it waits where it is to be cancelled, as a rule
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await scripted_upstream.until(lambda: request.disconnected)
    assert await ask(upstream)


async def test_cancelling_at_any_turn_of_the_loop_leaks_nothing(
    connect: Connect, scripted_upstream: ScriptedUpstream
) -> None:
    async def work() -> None:
        response = await upstream.request("POST", CHAT, STREAM)
        try:
            await chunks(response)
        finally:
            response.close()

    scripted_upstream.default = Behaviour(chunk_delay=0.0005, close=True)  # so that connecting is cancelled, too
    upstream = connect(connections=1)
    for turns in range(50):
        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0.002)
    assert await ask(upstream)
    await scripted_upstream.until(lambda: scripted_upstream.open_connections == 0)


async def test_close_aborts_what_is_open_and_keeps_what_is_whole(
    connect: Connect, scripted_upstream: ScriptedUpstream
) -> None:
    upstream = connect()
    response = await upstream.request("POST", CHAT, PLAIN)
    await response.read()
    response.close()
    scripted_upstream.next(Behaviour(chunk_delay=600))
    response = await upstream.request("POST", CHAT, STREAM)
    assert scripted_upstream.connections == 1
    response.close()
    response.close()
    await scripted_upstream.until(lambda: scripted_upstream.requests[1].disconnected)
    assert scripted_upstream.requests[1].completed_at is None


async def test_closing_the_upstream_ends_what_is_open(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(stop_at="in_body", stop="stall"))
    upstream = connect(idle_seconds=600)
    response = await upstream.request("POST", CHAT, STREAM)
    waiting = asyncio.create_task(response.read())
    await asyncio.sleep(0.02)
    await upstream.close()
    with pytest.raises(SluiceError):
        await asyncio.wait_for(waiting, 60)


async def test_refuses_an_answer_that_is_too_long(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    upstream = connect(response_bytes=100_000, connections=1)
    scripted_upstream.next(Behaviour(body=b"x" * 100_000), Behaviour(body=b"x" * 100_001))
    assert len(await ask(upstream)) == 100_000
    with pytest.raises(UpstreamFailed, match="response_bytes"):
        await ask(upstream)
    assert await ask(upstream)


async def test_large_bodies_arrive_whole(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    body = bytes(range(256)) * 32_000
    scripted_upstream.next(Behaviour(body=body))
    assert await ask(connect(), body) == body
    assert scripted_upstream.requests[0].body == body


async def test_concurrent_requests_get_their_own_answers(connect: Connect, scripted_upstream: ScriptedUpstream) -> None:
    async def one(name: str) -> str:
        return json.loads(await ask(upstream, json.dumps({"model": name}).encode()))["model"]

    upstream = connect()
    names = [f"model-{number}" for number in range(50)]
    assert await asyncio.gather(*map(one, names)) == names
    assert scripted_upstream.connections <= 50


@pytest.mark.parametrize("stop", ["close", "reset"])
async def test_a_kept_connection_that_closes_unanswered_is_replaced_once(
    connect: Connect, scripted_upstream: ScriptedUpstream, stop: str
) -> None:
    upstream = connect()
    await ask(upstream)
    scripted_upstream.next(Behaviour(stop_at=0, stop=stop))
    assert await ask(upstream)
    assert [request.connection for request in scripted_upstream.requests] == [1, 1, 2]
    scripted_upstream.next(Behaviour(stop_at=0, stop=stop), Behaviour(stop_at=0, stop=stop))
    with pytest.raises(UpstreamFailed):
        await ask(upstream)
    assert [request.connection for request in scripted_upstream.requests] == [1, 1, 2, 2, 3]


async def test_idle_connections_that_the_upstream_closed_are_not_used(
    connect: Connect, scripted_upstream: ScriptedUpstream
) -> None:
    upstream = connect()
    scripted_upstream.next(Behaviour(close_idle=0))
    await ask(upstream)
    await scripted_upstream.until(lambda: scripted_upstream.open_connections == 0)
    await asyncio.sleep(0.02)
    await ask(upstream)
    assert len(scripted_upstream.requests) == 2


def test_chooses_the_implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = UpstreamSettings()
    monkeypatch.setenv("no_proxy", "model.internal")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    for url, kind in [
        ("http://127.0.0.1:8000/v1", Pool),
        ("http://localhost:8000/v1", Pool),
        ("http://[::1]:8000", Pool),
        ("http://model.internal/v1", Pool),
        ("http://elsewhere.example/v1", LibraryUpstream),
        ("https://127.0.0.1/v1", LibraryUpstream),
    ]:
        assert isinstance(open_upstream(url, settings), kind), url


def test_refuses_what_no_header_can_carry() -> None:
    for url, key in [("http://me:secret@127.0.0.1/v1", None), ("http://127.0.0.1/v1", "sk-secret\r\nx: y")]:
        with pytest.raises(ConfigurationError) as raised:
            open_upstream(url, UpstreamSettings(), api_key=key)
        assert "secret" not in str(raised.value)
