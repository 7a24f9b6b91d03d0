"""Connections that do not behave."""

import socket
import time
from pathlib import Path

import pytest

from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway


def answer(raw: socket.socket) -> bytes:
    """All that comes until the gateway closes."""
    received = b""
    while data := raw.recv(65536):
        received += data
    return received


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
        b"POST /" + b"x" * 100_000,
    ],
)
def test_a_head_over_the_limit_is_refused(gateway: RunningGateway, head: bytes) -> None:
    with gateway.connect() as raw:
        raw.sendall(head)
        received = answer(raw)
    assert received.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in received


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client
        b"GET\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(gateway: RunningGateway, request_bytes: bytes) -> None:
    with gateway.connect() as raw:
        raw.sendall(request_bytes)
        received = answer(raw)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"invalid_http"' in received


@pytest.mark.parametrize(
    ("sent", "limits"),
    [
        (b"", {"idle_seconds": 0.3, "header_seconds": 600}),
        (b"POST /v1/chat/completions HTTP/1.1\r\nhost:", {"idle_seconds": 600, "header_seconds": 0.3}),
    ],
    ids=["silent", "slow"],
)
def test_silent_and_slow_connections_are_closed(
    tmp_path: Path, scripted_upstream: ScriptedUpstream, sent: bytes, limits: dict[str, float]
) -> None:
    with RunningGateway(tmp_path, scripted_upstream.url, limits=limits) as gateway, gateway.connect() as raw:
        raw.sendall(sent)
        assert raw.recv(10) == b""


def test_dripping_a_head_does_not_extend_its_time(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    def drip(raw: socket.socket) -> None:
        raw.sendall(b"GET /health/live HTTP/1.1\r\n")
        for _ in range(1200):
            raw.sendall(b"a: b\r\n")
            time.sleep(0.05)

    limits = {"header_seconds": 0.5, "idle_seconds": 600}
    with (
        RunningGateway(tmp_path, scripted_upstream.url, limits=limits) as gateway,
        gateway.connect() as raw,
        pytest.raises(ConnectionError),
    ):
        drip(raw)


def test_a_client_that_never_reads_is_let_go(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(content=["x" * 10_000] * 5000))
    with (
        RunningGateway(tmp_path, scripted_upstream.url, limits={"idle_seconds": 1}) as gateway,
        gateway.connect() as raw,
    ):
        body = b'{"model":"m","messages":[],"stream":true}'
        raw.sendall(gateway.head(len(body)) + body)
        [record] = gateway.usage(1)
        assert (record.status, record.error) == (499, "client_gone")
        scripted_upstream.wait_until(lambda: scripted_upstream.requests[0].disconnected)


def test_requests_on_one_connection_and_pipelined(gateway: RunningGateway) -> None:
    body = b'{"model":"m","messages":[]}'
    request = gateway.head(len(body)) + body
    with gateway.connect() as raw:
        raw.sendall(request * 3)
        received = b""
        while received.count(b"chatcmpl") < 3:
            data = raw.recv(65536)
            assert data
            received += data
    assert received.count(b"HTTP/1.1 200") == 3
    assert len(gateway.usage(3)) == 3


def test_expect_100_continue(gateway: RunningGateway) -> None:
    body = b'{"model":"m","messages":[]}'
    head = gateway.head(len(body))[:-2] + b"expect: 100-continue\r\n\r\n"
    with gateway.connect() as raw:
        raw.sendall(head)
        assert raw.recv(1000).startswith(b"HTTP/1.1 100")
        raw.sendall(body)
        assert raw.recv(1000).startswith(b"HTTP/1.1 200")
