"""Clients and upstreams that use HTTP's corners against the gateway."""

import time
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from gateway.protocol import ClientConnection
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway

BODY = b'{"model":"m","messages":[]}'
STREAM = b'{"model":"m","messages":[],"stream":true}'
DONE = b"data: [DONE]\n\n"


def exchange(gateway: RunningGateway, request: bytes) -> bytes:
    """The first bytes of the answer."""
    with gateway.connect() as raw:
        raw.sendall(request)
        return raw.recv(65536)


def chunked(gateway: RunningGateway, trailer: bytes) -> bytes:
    head = gateway.head(0).replace(b"content-length: 0", b"transfer-encoding: chunked")
    return head + b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(BODY), BODY, trailer)


def only_connection(gateway: RunningGateway) -> ClientConnection:
    [connection] = gateway.server.server_state.connections
    return cast(ClientConnection, connection)


def test_a_trailer_is_no_header(gateway: RunningGateway) -> None:
    assert exchange(gateway, chunked(gateway, b"authorization: Bearer x")).startswith(b"HTTP/1.1 200")


def test_a_pipelining_client_that_leaves_ends_the_upstreams_work(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(stop_at=0, stop="stall"))
    with gateway.connect() as raw:
        raw.sendall((gateway.head(len(BODY)) + BODY) * 2)
        scripted_upstream.wait_until(lambda: scripted_upstream.requests)
    scripted_upstream.wait_until(lambda: scripted_upstream.requests[0].disconnected)


def test_a_connection_is_idle_also_after_an_answer_that_was_read_slowly(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(body=b"x" * 20_000_000))
    with gateway.connect() as raw:
        raw.sendall(gateway.head(len(BODY)) + BODY)
        scripted_upstream.wait_until_stuck()
        received = 0
        while received < 20_000_000:
            received += len(raw.recv(1 << 20))
        gateway.wait(lambda: only_connection(gateway).deadline is not None)


def test_pipelining_does_not_excuse_a_client_that_never_reads(
    tmp_path: Path, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(content=["x" * 10_000] * 5000))
    with RunningGateway(tmp_path, scripted_upstream.url) as gateway, gateway.connect() as raw:
        raw.sendall(gateway.head(len(STREAM)) + STREAM)
        scripted_upstream.wait_until_stuck()
        raw.sendall(gateway.head(len(BODY)) + BODY)
        gateway.wait(lambda: only_connection(gateway).waiting)
        gateway.wait(lambda: only_connection(gateway).deadline is not None)


def test_done_ends_the_answer_though_the_upstream_stalls(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    scripted_upstream.next(Behaviour(raw=head + b"%x\r\n%b\r\n" % (len(DONE), DONE), stop_at=10_000, stop="stall"))
    with RunningGateway(tmp_path, scripted_upstream.url, upstream={"idle_seconds": 600}) as gateway:
        assert gateway.post(STREAM).content == DONE


def test_an_error_event_without_a_code(gateway: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(events=[b'data: {"error":{"message":"x"}}\n\n', DONE]))
    gateway.post(STREAM)
    assert gateway.usage(1)[0].error != "None"


def test_a_redirect_is_a_failure(gateway: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(status=302, body="elsewhere", headers=[("location", "http://inside/")]))
    assert gateway.post(BODY).status_code == 502


@pytest.mark.parametrize("path", ["/v1/chat%2Fcompletions", "http://x/v1/chat/completions", "/v1/chat/completions?a=b"])
def test_other_spellings_of_a_path_are_recorded_too(gateway: RunningGateway, path: str) -> None:
    assert exchange(gateway, gateway.head(len(BODY), path=path) + BODY).startswith(b"HTTP/1.1 200")
    assert len(gateway.usage(1)) == 1


@pytest.mark.parametrize("path", ["//v1/chat/completions", "/v1/chat/completions/", "/v1/chat/completions%00"])
def test_a_path_that_is_almost_right_is_not_found(gateway: RunningGateway, path: str) -> None:
    assert exchange(gateway, gateway.head(len(BODY), path=path) + BODY).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("path", [b"/admin/keys/", b"/health/live/", b"/v1/models/", b"/docs/static"])
def test_nobody_is_sent_where_a_host_header_says(gateway: RunningGateway, path: bytes) -> None:
    answer = exchange(gateway, b"GET " + path + b" HTTP/1.1\r\nhost: evil.example\r\n\r\n")
    assert not answer.startswith(b"HTTP/1.1 3")
    assert b"evil.example" not in answer


@pytest.mark.parametrize("field", [b"traceparent: a\r\n evil: b", b"traceparent: a\rb: c", b"traceparent: a\x00b"])
def test_no_header_reaches_the_upstream_in_disguise(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, field: bytes
) -> None:
    request = gateway.head(len(BODY))[:-2] + field + b"\r\n\r\n" + BODY
    assert exchange(gateway, request).startswith(b"HTTP/1.1 400")
    assert not scripted_upstream.requests


def test_the_body_of_a_request_for_an_upgrade_is_no_request(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    smuggled = gateway.head(len(BODY)) + BODY
    head = gateway.head(len(smuggled))[:-2] + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n"
    with gateway.connect() as raw:
        raw.sendall(head)
        assert raw.recv(65536).startswith(b"HTTP/1.1 400")
        with suppress(ConnectionError):
            raw.sendall(smuggled)
        with suppress(ConnectionError):
            assert raw.recv(65536) == b""
    assert not scripted_upstream.requests


@pytest.mark.parametrize("framing", [b"0\r\nx: ", b"1;x="])
def test_what_frames_a_body_is_bounded_too(gateway: RunningGateway, framing: bytes) -> None:
    head = gateway.head(0).replace(b"content-length: 0", b"transfer-encoding: chunked")
    with gateway.connect() as raw, suppress(ConnectionError):
        raw.sendall(head + framing + b"x" * 100_000)
        assert raw.recv(65536).startswith(b"HTTP/1.1 431")
        assert raw.recv(65536) == b""


def test_what_frames_a_refused_body_is_bounded_too(gateway: RunningGateway) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    with gateway.connect() as raw:
        raw.sendall(head)
        assert raw.recv(65536).startswith(b"HTTP/1.1 401")
        with suppress(ConnectionError):
            raw.sendall(b"0\r\nx: " + b"x" * 100_000)
            assert raw.recv(65536).startswith(b"HTTP/1.1 431")
        gateway.wait(lambda: not gateway.server.server_state.connections)


def test_a_large_body_is_no_part_of_the_head_behind_it(gateway: RunningGateway) -> None:
    body = BODY + b" " * 100_000
    request = gateway.head(len(body)) + body
    with gateway.connect() as raw:
        raw.sendall(request + request[:60])
        assert raw.recv(65536).startswith(b"HTTP/1.1 200")
        raw.sendall(request[60:])
        assert raw.recv(65536).startswith(b"HTTP/1.1 200")


def test_no_request_is_taken_for_a_body_that_was_not_asked_for(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n"
    with gateway.connect() as raw:
        raw.sendall(head)
        answer = raw.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"connection: close" in answer
        with suppress(ConnectionError):
            raw.sendall(b"GET " + gateway.head(len(BODY)) + BODY)
            assert raw.recv(65536) == b""
    assert not scripted_upstream.requests


@pytest.mark.parametrize("after", [0, 0.005, 0.05])
def test_clients_that_leave_at_any_moment_leave_nothing_behind(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, after: float
) -> None:
    request = gateway.head(len(STREAM)) + STREAM
    for end in range(0, len(request) + 1, 12):
        with gateway.connect() as raw:
            raw.sendall(request[:end])
            time.sleep(after if end > len(request) - 24 else 0)
    gateway.wait(lambda: not gateway.application.traffic.open)
    gateway.wait(lambda: not gateway.server.server_state.connections)
    assert gateway.post(BODY).status_code == 200
