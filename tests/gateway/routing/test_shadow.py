"""Copies of requests for another route, through a running gateway."""

import json
import threading
from typing import Any

import pytest

from gateway.routing.shadow import SHADOW
from gateway.usage.record import UsageRow
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body
from tests.gateway.metering.conftest import Budgeted, left
from tests.gateway.routing.conftest import Serve, chat, route_of
from tests.gateway.routing.test_dispatch import text_of
from tests.gateway.running_gateway import RunningGateway


def shadowed(serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream, **shadow: Any) -> RunningGateway:
    return serve(
        r={"url": near.url, "shadow": {"route": "far", "share": 1} | shadow},
        far={"url": far.url, "model": "large", "fallbacks": {"unavailable": ["m"]}},
    )


def by_error(gateway: RunningGateway, count: int) -> dict[str | None, UsageRow]:
    return {record.error: record for record in gateway.usage(count)}


@pytest.mark.parametrize("stream", [False, True])
def test_a_copy_is_answered_read_and_recorded_as_its_own(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream, stream: bool
) -> None:
    near.default, far.default = Behaviour(content=("near",)), Behaviour(content=("far", " away"))
    gateway = shadowed(serve, near, far)
    response = gateway.post(chat(stream=stream))
    assert text_of(response) == "near"
    records = by_error(gateway, 2)
    own, copy = records[None], records[SHADOW]
    assert (own.route, own.completion_tokens) == ("r", 1)
    assert (copy.route, copy.completion_tokens, copy.status, copy.streamed) == ("far", 2, 200, stream)
    assert (copy.key_id, copy.parent_id, copy.charged_tokens) == (own.key_id, own.request_id, 0)
    [sent] = far.requests
    assert sent.json == near.requests[0].json | {"model": "large"}
    assert sent.header("x-request-id") == copy.request_id


def test_it_costs_the_clients_budget_nothing(serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream) -> None:
    gateway = shadowed(serve, near, far)
    ada = Budgeted(gateway, {"day": 10_000})
    response = ada.call(model="r")
    records = by_error(gateway, 2)
    assert left(response) == 10_000 - records[None].charged_tokens
    assert records[None].charged_tokens > 0
    assert records[SHADOW].charged_tokens == 0


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (Behaviour(status=500, body="broken"), 500),
        (Behaviour(status=429, body=error_body("no", status=429)), 429),
        (Behaviour(stop_at=0), 502),
        (Behaviour(raw=b"220 smtp ready\r\n"), 502),
    ],
)
def test_its_failure_is_nobodys(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream, behaviour: Behaviour, status: int
) -> None:
    far.default = behaviour
    gateway = shadowed(serve, near, far)
    assert gateway.post(chat()).status_code == 200
    assert by_error(gateway, 2)[SHADOW].status == status
    assert len(near.requests) == len(far.requests) == 1, "a copy is sent once, and has no fallback"


def test_it_delays_nobody_and_only_some_run_at_once(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    go_on = threading.Event()
    far.default = Behaviour(go_on=go_on)
    gateway = shadowed(serve, near, far, at_once=2)
    for _ in range(5):
        assert gateway.post(chat(stream=True)).status_code == 200
    plan = route_of(gateway, "r").plan
    assert plan is not None
    assert plan.shadow is not None
    assert (plan.shadow.sent, plan.shadow.left_out) == (2, 3)
    go_on.set()
    gateway.usage(7)
    gateway.post(chat())
    gateway.usage(9)


def test_a_client_that_leaves_does_not_end_it(serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream) -> None:
    go_on = threading.Event()
    near.default, far.default = Behaviour(stop_at=0, stop="stall"), Behaviour(go_on=go_on)
    gateway = shadowed(serve, near, far)
    body = json.dumps(chat(stream=True)).encode()
    with gateway.connect() as raw:
        raw.sendall(gateway.head(len(body)) + body)
        far.wait_until(lambda: far.requests and near.requests)
    assert gateway.usage(1)[0].status == 499
    go_on.set()
    assert by_error(gateway, 2)[SHADOW].status == 200


def test_copies_under_way_end_with_the_gateway(serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream) -> None:
    far.default = Behaviour(stop_at=0, stop="stall")
    gateway = shadowed(serve, near, far)
    assert gateway.post(chat()).status_code == 200
    far.wait_until(lambda: far.requests)
    gateway.stop()
    far.wait_until(lambda: far.requests[0].disconnected)
    assert by_error(gateway, 2)[SHADOW].status == 499


def test_a_share_of_none_copies_nothing(serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream) -> None:
    gateway = shadowed(serve, near, far, share=0)
    assert gateway.post(chat()).status_code == 200
    gateway.usage(1)
    assert not far.requests
