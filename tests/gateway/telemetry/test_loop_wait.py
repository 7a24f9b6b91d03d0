import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.telemetry.loop_wait import EVERY, TCP_INFO, LoopWait
from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway

REQUEST = b"GET /health/live HTTP/1.1\r\nhost: gateway\r\n\r\n"
BLOCKED = 0.3
needs_tcp_info = pytest.mark.skipif(TCP_INFO is None, reason="the kernel has no TCP_INFO")


@pytest.fixture
def gateway(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path, scripted_upstream.url) as running:
        yield running


def waits(gateway: RunningGateway) -> LoopWait:
    return gateway.application.metrics.loop_wait


def answer(connection: socket.socket) -> bytes:
    connection.sendall(REQUEST)
    return connection.recv(65536)


@contextmanager
def blocked(gateway: RunningGateway) -> Iterator[None]:
    """The gateway's event loop stands still while something is sent, and for a time after that."""
    began, sent = threading.Event(), threading.Event()

    def block() -> None:
        began.set()
        sent.wait(60)
        time.sleep(BLOCKED)

    loop = next(iter(gateway.application.keyring._tasks)).get_loop()
    loop.call_soon_threadsafe(block)
    assert began.wait(60)
    yield
    sent.set()


def over(gateway: RunningGateway, seconds: float) -> int:
    histogram = waits(gateway).histogram
    return sum(
        count for bound, count in zip((*histogram.bounds, 9e9), histogram.counts, strict=True) if bound > seconds
    )


@needs_tcp_info
def test_a_connection_that_waits_to_be_accepted_is_seen(gateway: RunningGateway) -> None:
    gateway.post({"model": "m", "messages": []})
    before = over(gateway, 0.2)
    with blocked(gateway):
        connection = gateway.connect()
        connection.sendall(REQUEST)
    with connection:
        assert b"200 OK" in connection.recv(65536)
    assert over(gateway, 0.2) == before + 1
    assert 'sluice_loop_wait_seconds_bucket{le="0.2"}' in gateway._http.get(f"{gateway.origin}/metrics").text


@needs_tcp_info
def test_of_a_connection_in_use_one_request_in_many_is_looked_at(gateway: RunningGateway) -> None:
    gateway.post({"model": "m", "messages": []})
    with gateway.connect() as connection:
        answer(connection)
        while (waits(gateway)._requests + 1) % EVERY:
            answer(connection)
        looked_at, before = sum(waits(gateway).histogram.counts), over(gateway, 0.2)
        with blocked(gateway):
            connection.sendall(REQUEST)
        assert b"200 OK" in connection.recv(65536)
        assert sum(waits(gateway).histogram.counts) == looked_at + 1
        assert over(gateway, 0.2) == before + 1
        answer(connection)
        assert sum(waits(gateway).histogram.counts) == looked_at + 1


async def test_without_the_kernels_word_a_timer_tells() -> None:
    wait = LoopWait(tcp_info=None)
    wait.start()
    await asyncio.sleep(0.01)
    time.sleep(BLOCKED)
    while sum(wait.histogram.counts) < 2:
        await asyncio.sleep(0.01)
    assert wait.histogram.sum > 0.15


class NoSocket(asyncio.BaseTransport):
    pass


def test_what_is_no_tcp_connection_is_passed_over() -> None:
    wait = LoopWait()
    wait.sample(NoSocket(), first=True)
    one, other = socket.socketpair()
    with one, other:
        wait.sample(asyncio.BaseTransport({"socket": one}), first=True)
    wait.sample(asyncio.BaseTransport({"socket": one}), first=True)
    assert sum(wait.histogram.counts) == 0
