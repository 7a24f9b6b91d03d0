"""Circuits that open and close in a running gateway; the clock is the test's."""

import json
from typing import Any

from gateway.routing import Routes
from gateway.routing.breaker import Breaker
from sluice.identity import create_key
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body
from tests.gateway.routing.conftest import Serve, chat, route_of
from tests.gateway.routing.test_breaker import Clock
from tests.gateway.routing.test_dispatch import error_of, told
from tests.gateway.running_gateway import RunningGateway

BROKEN = Behaviour(status=500, body="broken")
BREAKER = {"failures": 2, "window_seconds": 30, "open_seconds": 10, "probes": 1}


def stopped_clock(gateway: RunningGateway, name: str = "r") -> tuple[Breaker, Clock]:
    breaker = route_of(gateway, name).targets[0].breaker
    assert breaker is not None
    breaker._clock = clock = Clock()
    return breaker, clock


def test_an_upstream_that_fails_is_left_alone_and_tried_again(serve: Serve, near: ScriptedUpstream) -> None:
    near.next(BROKEN, BROKEN)
    gateway = serve(r={"url": near.url, "name": "one", "breaker": BREAKER})
    breaker, clock = stopped_clock(gateway)
    assert [gateway.post(chat()).status_code for _ in range(2)] == [500, 500]
    refused = gateway.post(chat())
    assert (refused.status_code, error_of(refused)["code"]) == (503, "circuit_open")
    assert refused.headers["retry-after"] == "10"
    assert len(near.requests) == 2
    clock.now += 10
    near.next(BROKEN)
    assert [gateway.post(chat()).status_code for _ in range(2)] == [500, 503]
    clock.now += 10
    assert [gateway.post(chat()).status_code for _ in range(2)] == [200, 200]
    assert breaker.state == "closed"
    assert len(near.requests) == 5


def test_routes_to_one_upstream_share_its_circuit(serve: Serve, near: ScriptedUpstream) -> None:
    near.next(BROKEN, BROKEN)
    gateway = serve(
        r={"url": near.url, "model": "x", "breaker": BREAKER},
        same={"url": near.url, "model": "x", "timeouts": {"total_seconds": 60}},
        other={"url": near.url, "model": "y"},
    )
    stopped_clock(gateway)
    gateway.post(chat())
    assert gateway.post(chat("same")).status_code == 500
    assert [gateway.post(chat(name)).status_code for name in ("r", "same", "other")] == [503, 503, 200]


def test_a_models_circuit_is_that_of_routes_that_serve_it(serve: Serve, near: ScriptedUpstream) -> None:
    gateway = serve(r={"url": near.url, "breaker": BREAKER})
    models = {"own": {"source": {"path": "x"}, "port": 9001}}
    settings = gateway.settings.model_validate(
        {
            "models": models,
            "routes": {"r": {"serves": "own", "fallbacks": {"unavailable": ["s"]}}, "s": {"url": near.url}},
        }
    )
    routes = Routes(settings)._routes
    own, route = routes["own"].targets[0], routes["r"].targets[0]
    assert own.breaker is route.breaker is not None
    assert own.upstream is route.upstream
    assert routes["s"].targets[0].breaker is None


def test_what_clients_cause_opens_nothing(serve: Serve, near: ScriptedUpstream) -> None:
    gateway = serve(r={"url": near.url, "breaker": BREAKER})
    for status in (400, 404, 422, 429, 400, 429):
        near.next(Behaviour(status=status, body=error_body("no", status=status)))
        assert gateway.post(chat()).status_code == status
    assert gateway.post(chat()).status_code == 200


def test_with_an_open_circuit_others_answer_at_once(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.next(BROKEN, BROKEN)
    route = {"url": near.url, "breaker": BREAKER, "fallbacks": {"unavailable": ["far"]}}
    gateway = serve(r=route, far={"url": far.url, "name": "far"})
    stopped_clock(gateway)
    assert [told(gateway.post(chat())) for _ in range(3)] == [("far", "2"), ("far", "2"), ("far", None)]
    assert len(near.requests) == 2


def test_where_all_circuits_are_open_the_soonest_says_when_to_come_back(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.default = far.default = BROKEN
    upstreams: list[dict[str, Any]] = [{"url": near.url, "name": "near"}, {"url": far.url, "name": "far"}]
    gateway = serve(r={"upstreams": upstreams, "breaker": BREAKER | {"failures": 1}, "retries": {"after_work": True}})
    clock = Clock()
    for target in route_of(gateway, "r").targets:
        assert target.breaker is not None
        target.breaker._clock = clock
    assert gateway.post(chat()).status_code == 500
    assert len(near.requests) == len(far.requests) == 1
    clock.now += 3
    refused = gateway.post(chat())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")


def test_a_probe_whose_client_leaves_makes_room_for_the_next(serve: Serve, near: ScriptedUpstream) -> None:
    near.next(BROKEN, BROKEN, Behaviour(stop_at=0, stop="stall"))
    gateway = serve(r={"url": near.url, "breaker": BREAKER})
    breaker, clock = stopped_clock(gateway)
    gateway.post(chat())
    gateway.post(chat())
    clock.now += 10
    body = json.dumps(chat()).encode()
    with gateway.connect() as raw:
        raw.sendall(gateway.head(len(body)) + body)
        near.wait_until(lambda: len(near.requests) == 3)
        assert gateway.post(chat()).status_code == 503
    gateway.wait(lambda: breaker.allows)
    assert gateway.post(chat()).status_code == 200
    assert breaker.state == "closed"


def test_streams_that_break_off_open_it(serve: Serve, near: ScriptedUpstream) -> None:
    near.next(*[Behaviour(stop_at=1200)] * 2)
    gateway = serve(r={"url": near.url, "breaker": BREAKER})
    breaker, _ = stopped_clock(gateway)
    for _ in range(2):
        assert error_of(gateway.post(chat(stream=True)))["code"] == "upstream_failed"
    assert route_of(gateway, "r").targets[0].outcomes["broke_off"] == 2
    assert breaker.state == "open"


def test_a_canary_stays_with_its_keys(serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream) -> None:
    upstreams = [{"url": near.url, "name": "stable"}, {"url": far.url, "name": "canary", "canary": 50}]
    gateway = serve(r={"upstreams": upstreams})
    sides: list[str | None] = []
    for _ in range(12):
        headers = {"authorization": f"Bearer {create_key(gateway.engine, owner='x')[1]}"}
        answered = {told(gateway.post(chat(), headers=headers))[0] for _ in range(3)}
        assert len(answered) == 1
        sides += answered
    assert set(sides) == {"stable", "canary"}
