"""Each of a route's time-outs, through a running gateway; the others are so long that they cannot be what ends it."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream
from tests.gateway.routing.conftest import Serve, chat, route_of
from tests.gateway.routing.test_dispatch import ROLE, error_of, text_of

SHORT = 0.3
LONG = {"connect_seconds": 60, "first_token_seconds": 60, "between_tokens_seconds": 60, "total_seconds": 60}
TOKEN = ROLE.replace(b'""', b'"a"')
END = b"data: [DONE]\n\n"


@pytest.fixture
def full() -> Iterator[str]:
    """The address of a server that takes no more connections and refuses none."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        for client in waiting:
            client.close()


@pytest.fixture
def never() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_connecting(serve: Serve, near: ScriptedUpstream, full: str) -> None:
    timeouts = LONG | {"connect_seconds": SHORT}
    gateway = serve(
        r={"url": full, "timeouts": timeouts},
        s={"url": full, "timeouts": timeouts, "fallbacks": {"unavailable": ["m"]}},
    )
    response = gateway.post(chat())
    assert response.status_code == 504
    assert "(connect_seconds)" in error_of(response)["message"]
    assert gateway.post(chat("s")).status_code == 200


@pytest.mark.parametrize("event", [ROLE, b": still here\n\n"])
def test_the_first_token_of_a_stream_counts_and_not_its_head_or_role(
    serve: Serve, near: ScriptedUpstream, event: bytes, never: threading.Event
) -> None:
    """Not before its head, nor between two events."""
    timeouts = LONG | {"first_token_seconds": SHORT}
    gateway = serve(
        r={"url": near.url, "timeouts": timeouts, "name": "slow"},
        s={"url": near.url, "timeouts": timeouts, "name": "slow too", "fallbacks": {"unavailable": ["m"]}},
    )
    behaviour = Behaviour(events=[event, TOKEN, END], go_on=never)
    near.next(behaviour, behaviour)
    response = gateway.post(chat(stream=True))
    assert response.status_code == 200  # its head was there
    assert error_of(response)["code"] == "upstream_timeout"
    assert "'slow' wrote no token within 0.3 s (first_token_seconds)" in error_of(response)["message"]
    assert route_of(gateway, "r").targets[0].outcomes["broke_off"] == 1
    assert text_of(gateway.post(chat("s", stream=True)))
    assert route_of(gateway, "s").targets[0].outcomes["unavailable"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_does_not_begin(serve: Serve, near: ScriptedUpstream, stream: bool) -> None:
    near.next(Behaviour(stop_at=0, stop="stall"))
    gateway = serve(r={"url": near.url, "timeouts": LONG | {"first_token_seconds": SHORT}})
    response = gateway.post(chat(stream=stream))
    assert (response.status_code, error_of(response)["code"]) == (504, "upstream_timeout")


def test_the_first_token_may_take_longer_than_those_after_it(serve: Serve, near: ScriptedUpstream) -> None:
    near.next(Behaviour(events=[ROLE, TOKEN, END], chunk_delay=0.5))
    timeouts = LONG | {"between_tokens_seconds": 0.4}
    gateway = serve(r={"url": near.url, "timeouts": timeouts})
    response = gateway.post(chat(stream=True))
    assert b'"a"' in response.content
    assert "(idle_seconds)" in error_of(response)["message"]


def test_between_tokens(serve: Serve, near: ScriptedUpstream, never: threading.Event) -> None:
    near.next(Behaviour(events=[TOKEN, TOKEN, END], go_on=never))
    gateway = serve(r={"url": near.url, "timeouts": LONG | {"between_tokens_seconds": SHORT}})
    response = gateway.post(chat(stream=True))
    assert b'"a"' in response.content
    assert error_of(response)["code"] == "upstream_timeout"


def test_the_whole_stream(serve: Serve, near: ScriptedUpstream) -> None:
    near.next(Behaviour(content=["x"] * 10_000, chunk_delay=0.02))
    gateway = serve(r={"url": near.url, "timeouts": LONG | {"total_seconds": 1}})
    response = gateway.post(chat(stream=True))
    assert b'"x"' in response.content
    error = error_of(response)
    assert error["code"] == "upstream_timeout"
    assert "not complete within 1 s (total_seconds)" in error["message"]
    near.wait_until(lambda: near.requests[0].disconnected)
    [record] = gateway.usage(1)
    assert (record.status, record.error) == (504, "upstream_timeout")


def test_the_whole_with_all_attempts(serve: Serve, near: ScriptedUpstream) -> None:
    near.default = Behaviour(stop_at=0, stop="stall")
    route = {"url": near.url, "timeouts": LONG | {"total_seconds": SHORT}, "fallbacks": {"unavailable": ["m"]}}
    gateway = serve(r=route)
    response = gateway.post(chat())
    assert (response.status_code, error_of(response)["code"]) == (504, "upstream_timeout")
    assert len(near.requests) == 1
    assert route_of(gateway, "r").targets[0].outcomes["cancelled"] == 1


def test_the_gateways_own_limits_hold_where_a_route_says_nothing(serve: Serve, near: ScriptedUpstream) -> None:
    gateway = serve(r={"url": near.url, "timeouts": {"total_seconds": 5}})
    limits = gateway.settings.gateway.upstream
    assert route_of(gateway, "m").total_seconds == limits.total_seconds
    own, other = route_of(gateway, "r"), route_of(gateway, "m")
    assert (own.total_seconds, own.targets[0].first_token_seconds) == (5, limits.first_byte_seconds)
    assert own.targets[0].upstream is not other.targets[0].upstream
