"""Connections that do not behave."""

import socket
import threading
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from gateway.protocol import PIPELINED
from gateway.request import HELD_BYTES
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


def test_pipelined_requests_are_answered_in_order(gateway: RunningGateway) -> None:
    chat = b'{"model":"m","messages":[],"stream":true}'
    head = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
    with gateway.connect() as raw:
        raw.sendall(gateway.head(len(chat)) + chat + head + b"GARBAGE\r\n\r\n")
        received = answer(raw)
    first, second, third = received.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200")
    assert first.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert second.startswith(b"200")
    assert third.startswith(b"400")


def test_a_client_that_asks_for_more_than_may_wait_is_served_all_the_same(gateway: RunningGateway) -> None:
    with gateway.connect() as raw:
        raw.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n" * 5 * PIPELINED)
        received = b""
        while received.count(b"HTTP/1.1 200") < 5 * PIPELINED:
            data = raw.recv(65536)
            assert data
            received += data


def test_garbage_behind_a_stream_does_not_break_into_it(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    go_on = threading.Event()
    scripted_upstream.next(Behaviour(content=("a", "b"), go_on=go_on))
    body = b'{"model":"m","messages":[],"stream":true}'
    with gateway.connect() as raw:
        raw.sendall(gateway.head(len(body)) + body)
        received = raw.recv(65536)
        raw.sendall(b"\x16\x03\x01\r\n\r\n" + b"x" * 100_000)
        go_on.set()
        received += answer(raw)
    stream, refusal = received.split(b"0\r\n\r\nHTTP/1.1 ")
    assert b"data: [DONE]" in stream
    assert refusal.startswith(b"400 ")


def test_a_body_that_is_not_framed_right_is_refused_and_recorded(gateway: RunningGateway) -> None:
    head = gateway.head(0).replace(b"content-length: 0", b"transfer-encoding: chunked")
    with gateway.connect() as raw:
        raw.sendall(head + b"5\r\n{}")
        gateway.wait(lambda: gateway.application.traffic.open)
        raw.sendall(b"123456789")
        received = answer(raw)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in received
    assert gateway.usage(1)[0].error == "invalid_http"


def test_a_large_body_does_not_hide_that_its_client_left(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(stop_at=0, stop="stall"))
    body = b'{"model":"m","messages":[],"x":"' + b"x" * 10 * HELD_BYTES + b'"}'
    with gateway.connect() as raw:
        raw.sendall(gateway.head(len(body)) + body)
        scripted_upstream.wait_until(lambda: scripted_upstream.requests)
    scripted_upstream.wait_until(lambda: scripted_upstream.requests[0].disconnected)


def test_a_client_that_closes_its_half_has_left(gateway: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(stop_at=0, stop="stall"))
    body = b'{"model":"m","messages":[]}'
    with gateway.connect() as raw:
        raw.sendall(gateway.head(len(body)) + body)
        scripted_upstream.wait_until(lambda: scripted_upstream.requests)
        raw.shutdown(socket.SHUT_WR)
        scripted_upstream.wait_until(lambda: scripted_upstream.requests[0].disconnected)
        assert answer(raw) == b""


def test_http_1_0_has_neither_chunks_nor_a_second_request(gateway: RunningGateway) -> None:
    body = b'{"model":"m","messages":[],"stream":true}'
    head = gateway.head(len(body)).replace(b"HTTP/1.1", b"HTTP/1.0")[:-2] + b"connection: keep-alive\r\n\r\n"
    with gateway.connect() as raw:
        raw.sendall(head + body)
        received_head, received = answer(raw).split(b"\r\n\r\n", 1)
    assert b"connection: close" in received_head
    assert b"chunked" not in received_head
    assert received.startswith(b"data: ")
    assert received.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("path", ["/health/live", "/v1/chat/completions"])
def test_head_has_no_body(gateway: RunningGateway, path: str) -> None:
    request = f"HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()
    with gateway.connect() as raw:
        raw.sendall(request)
        received = answer(raw)
    assert received.startswith(b"HTTP/1.1 405 ")
    assert received.endswith(b"\r\n\r\n")


def test_a_wish_for_another_protocol_is_passed_over(gateway: RunningGateway) -> None:
    with gateway.connect() as raw:
        raw.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
        received = answer(raw)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in received


def test_an_answer_has_the_date(gateway: RunningGateway) -> None:
    response = gateway.post({"model": "m", "messages": []})
    assert abs(parsedate_to_datetime(response.headers["date"]).timestamp() - time.time()) < 60


def test_a_request_begins_when_its_first_byte_is_read(gateway: RunningGateway) -> None:
    body = b'{"model":"m","messages":[]}'
    request = gateway.head(len(body)) + body
    with gateway.connect() as raw:
        raw.sendall(request[:20])
        time.sleep(0.3)
        raw.sendall(request[20:])
        raw.recv(1000)
    assert gateway.usage(1)[0].duration_ms >= 300


def test_expect_100_continue(gateway: RunningGateway) -> None:
    body = b'{"model":"m","messages":[]}'
    head = gateway.head(len(body))[:-2] + b"expect: 100-continue\r\n\r\n"
    with gateway.connect() as raw:
        raw.sendall(head)
        assert raw.recv(1000).startswith(b"HTTP/1.1 100")
        raw.sendall(body)
        assert raw.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_body_that_is_announced_too_large_is_not_asked_for(
    tmp_path: Path, scripted_upstream: ScriptedUpstream
) -> None:
    with (
        RunningGateway(tmp_path, scripted_upstream.url, limits={"body_bytes": 100}) as gateway,
        gateway.connect() as raw,
    ):
        raw.sendall(gateway.head(1000)[:-2] + b"expect: 100-continue\r\n\r\n")
        assert answer(raw).startswith(b"HTTP/1.1 413 ")
