"""FastAPI's endpoints behind the gateway's own server."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway


def test_a_request_as_the_application_sees_it(gateway: RunningGateway) -> None:
    async def echo(request: Request) -> Response:
        return JSONResponse(
            {
                "method": request.method,
                "path": request.url.path,
                "query": request.url.query,
                "body": (await request.body()).decode(),
                "agent": request.headers["user-agent"],
                "client": request.client and request.client.host,
            },
            status_code=201,
        )

    gateway.application.add_route("/echo/{rest:path}", echo, methods=["POST"])
    response = gateway.post(iter([b"a", b"b"]), path="/echo/%C3%A4?b=%20", headers={"User-Agent": "me"})
    assert response.status_code == 201
    assert response.json() == {
        "method": "POST",
        "path": "/echo/ä",
        "query": "b=%20",
        "body": "ab",
        "agent": "me",
        "client": "127.0.0.1",
    }


def test_bodies_have_their_limits(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    limits = {"body_bytes": 100, "body_seconds": 0.2}

    async def length(request: Request) -> Response:
        return JSONResponse(len(await request.body()))

    with RunningGateway(tmp_path, scripted_upstream.url, limits=limits) as gateway:
        gateway.application.add_route("/v2", length, methods=["POST"])
        assert gateway.post(b"x" * 101, path="/v2").json()["error"]["code"] == "request_too_large"
        assert gateway.post(b"x" * 100, path="/v2").json() == 100
        with gateway.connect() as raw:
            raw.sendall(gateway.head(100, path="/v2"))
            assert raw.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_nobody_wants_is_not_waited_for(gateway: RunningGateway) -> None:
    with gateway.connect() as raw:
        raw.sendall(gateway.head(100, path="/v2"))
        assert raw.recv(4096).startswith(b"HTTP/1.1 404 ")
        raw.sendall(b"x" * 100 + b"GET /health/live HTTP/1.1\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_stream_ends_when_its_client_leaves(gateway: RunningGateway) -> None:
    left = threading.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)
        finally:
            left.set()

    async def stream(_: Request) -> Response:
        return StreamingResponse(endless())

    gateway.application.add_route("/stream", stream)
    with gateway.connect() as raw:
        raw.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        received = b""
        while b"1\r\nx\r\n" not in received:
            received += raw.recv(4096)
        assert b"transfer-encoding: chunked" in received
        assert not left.is_set()
    assert left.wait(60)


def test_what_fails_before_its_answer_is_500_and_in_the_middle_of_it_a_broken_connection(
    gateway: RunningGateway,
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise RuntimeError

    async def fails(request: Request) -> Response:
        if request.url.query == "late":
            return StreamingResponse(broken())
        raise RuntimeError

    gateway.application.add_route("/fails", fails)
    with gateway.connect() as raw:
        raw.sendall(b"GET /fails HTTP/1.1\r\nhost: x\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 500 ")
        raw.sendall(b"GET /fails?late HTTP/1.1\r\nhost: x\r\n\r\n")
        received = b""
        while data := raw.recv(4096):
            received += data
    assert received.startswith(b"HTTP/1.1 200 ")
    assert not received.endswith(b"0\r\n\r\n")
