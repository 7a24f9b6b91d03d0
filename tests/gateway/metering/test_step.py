"""Budgets through a running gateway: before an engine that counts, and before upstreams that misbehave."""

import asyncio
import json
import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from sluice.identity import list_budgets
from sluice.identity.budgets import set_budget
from sluice.identity.limits import set_limit
from tests.doubles.counting_engine import CountingEngine
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body
from tests.gateway.metering.conftest import NOON, Budgeted, left
from tests.gateway.running_gateway import RunningGateway

PROMPT = CountingEngine.TEMPLATE + 1
"""Tokens of the prompt "Hello"."""


def error_of(response: httpx.Response) -> dict[str, Any]:
    return response.json()["error"]


def chunks_of(response: httpx.Response) -> list[dict[str, Any]]:
    *events, done = response.text.strip().split("\n\n")
    assert done == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_a_call_is_charged_what_it_used(counted: RunningGateway, counting_engine: CountingEngine) -> None:
    ada = Budgeted(counted, {"day": 10_000})
    response = ada.call(max_tokens=20)
    assert response.status_code == 200
    assert left(response) == 10_000 - PROMPT - 20
    assert "x-sluice-budget" not in response.headers
    assert counted.usage(1)[0].charged_tokens == PROMPT + 20 == counting_engine.made


def test_a_stream_tells_what_is_left_beside_its_lease_and_is_charged_what_it_used(counted: RunningGateway) -> None:
    ada = Budgeted(counted, {"day": 10_000})
    response = ada.call(max_tokens=20, stream=True)
    assert 9_000 < left(response) <= 10_000 - PROMPT - 20
    assert len(chunks_of(response)) == 21
    assert counted.usage(1)[0].charged_tokens == PROMPT + 20


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("further", [{}, {"max_tokens": 400}])
def test_an_answer_is_limited_to_what_is_left(counted: RunningGateway, stream: bool, further: Any) -> None:
    ada = Budgeted(counted, {"day": 60, "month": 10_000})
    response = ada.call(stream=stream, **further)
    assert response.headers["x-sluice-budget"] == f"limited; key:{ada.key.id}/tokens/day"
    last = chunks_of(response)[-1] if stream else response.json()
    assert last["choices"][0]["finish_reason"] == "length"
    assert counted.usage(1)[0].charged_tokens == 60
    assert left(ada.call()) == 0


def test_an_exhausted_budget_says_which_and_when_it_begins_anew(
    counted: RunningGateway, counting_engine: CountingEngine
) -> None:
    ada = Budgeted(counted, {"hour": 60})
    ada.call(max_tokens=50)
    response = ada.call()
    error = error_of(response)
    assert (response.status_code, error["type"], error["code"]) == (429, "insufficient_quota", "budget_exhausted")
    assert f"The budget of 60 tokens per hour (key:{ada.key.id}/tokens/hour) has too little left" in error["message"]
    assert f"which needs up to {PROMPT + 1} tokens: 60 tokens are spent" in error["message"]
    assert response.headers["retry-after"] == "3600"
    begins = datetime.fromtimestamp(NOON + 3600, UTC)
    assert f"it begins anew at {begins:%Y-%m-%dT%H:%M}:00Z" in error["message"]
    assert counting_engine.requests == 1
    assert [record.charged_tokens for record in counted.usage(2)] == [60, 0]


def test_a_budget_for_ever_does_not_ask_to_come_back(counted: RunningGateway) -> None:
    ada = Budgeted(counted, {"ever": 30})
    ada.call()
    response = ada.call()
    assert "it does not begin anew" in error_of(response)["message"]
    assert "retry-after" not in response.headers


def test_a_prompt_beyond_the_whole_budget_is_told_so(counted: RunningGateway) -> None:
    response = Budgeted(counted, {"minute": 30}).call("word " * 40)
    assert response.status_code == 429
    assert "needs up to 50 tokens, more than the whole budget of 30 tokens per minute" in error_of(response)["message"]
    assert "retry-after" not in response.headers


def test_tokens_held_by_calls_under_way_come_back_soon(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(stop_at=0, stop="stall"))
    with RunningGateway(tmp_path, scripted_upstream.url) as gateway, gateway.connect() as raw:
        ada = Budgeted(gateway, {"day": 700})
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 450}).encode()
        raw.sendall(gateway.head(len(body)).replace(gateway.key.encode(), ada.token.encode()) + body)
        scripted_upstream.wait_until(lambda: scripted_upstream.requests)
        response = ada.call(max_tokens=450)
        assert response.status_code == 429
        assert response.headers["retry-after"] == "1"
        assert "calls under way hold" in error_of(response)["message"]


def test_a_gateway_that_starts_again_knows_what_was_spent(tmp_path: Path, counting_engine: CountingEngine) -> None:
    with RunningGateway(tmp_path, counting_engine.url) as gateway:
        ada = Budgeted(gateway, {"day": 1_000, "ever": 5_000})
        assert left(ada.call(max_tokens=40)) == 1_000 - PROMPT - 40
    with RunningGateway(tmp_path, counting_engine.url) as gateway:
        ada.gateway = gateway
        assert left(ada.call(max_tokens=40)) == 1_000 - 2 * (PROMPT + 40)


def test_a_limit_that_is_no_number_is_refused(counted: RunningGateway) -> None:
    response = Budgeted(counted, {"day": 1_000}).call(max_tokens="400")
    assert response.status_code == 400
    assert counted.usage(1)[0].charged_tokens == 0


def test_embeddings_take_their_prompt_alone(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    with RunningGateway(tmp_path, scripted_upstream.url) as gateway:
        ada = Budgeted(gateway, {"day": 200})
        assert left(ada.call(path="/v1/embeddings", input="a b c")) == 197
        assert ada.call(path="/v1/embeddings", input="x" * 300).status_code == 429


@pytest.mark.parametrize(
    ("path", "kind", "field"), [("/v1/completions", "chat", "prompt"), ("/v1/embeddings", "embedding", "input")]
)
def test_each_of_several_prompts_is_held_for(
    tmp_path: Path, scripted_upstream: ScriptedUpstream, path: str, kind: str, field: str
) -> None:
    model = {"kind": kind, "source": {"path": "x"}, "port": scripted_upstream.port, "context": 512}
    with RunningGateway(tmp_path, scripted_upstream.url, sections={"models": {"small": model}}) as gateway:
        ada = Budgeted(gateway, {"day": 10_000})
        assert ada.call(path=path, model="small", **{field: ["word " * 100] * 30}).status_code == 429
        assert ada.call(path=path, model="small", **{field: "word " * 3_000}).status_code == 200, "one has one context"


def test_the_answers_to_several_prompts_share_what_is_left(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    model = {"source": {"path": "x"}, "port": scripted_upstream.port, "context": 512}
    with RunningGateway(tmp_path, scripted_upstream.url, sections={"models": {"small": model}}) as gateway:
        several = ["word " * 30] * 10
        call = {"path": "/v1/completions", "model": "small", "prompt": several, "max_tokens": 100}
        response = Budgeted(gateway, {"day": 2_200}).call(**call)
        assert response.headers["x-sluice-budget"].startswith("limited")
        assert 40 < scripted_upstream.requests[-1].json["max_tokens"] < 100


@pytest.mark.parametrize("unit", ["tokens", "money"])
def test_a_wish_beyond_all_numbers_holds_nothing_for_ever(
    tmp_path: Path, scripted_upstream: ScriptedUpstream, unit: str
) -> None:
    price = {"m": {"url": scripted_upstream.url, "price": {"input": 1e6, "output": 1e6}}}
    with RunningGateway(tmp_path, scripted_upstream.url, routes=price) as gateway:
        ada = Budgeted(gateway, {})
        set_budget(gateway.engine, f"key:{ada.key.id}", 1_000, "ever", unit, hard=False, by="tester")
        set_limit(gateway.engine, f"key:{ada.key.id}", "concurrent", 1, by="tester")
        gateway.wait_for_meters(f"key:{ada.key.id}/{unit}/ever", f"key:{ada.key.id}/concurrent")
        wishes = [{"max_tokens": 2**53}, {"max_tokens": 2**64}, {"max_tokens": 2**70, "n": 2}, {"max_tokens": 5}]
        assert [ada.call(**wish).status_code for wish in wishes] == [200] * 4
        assert {record.status for record in gateway.usage(4)} == {200}


def test_what_the_gateway_itself_refuses_costs_nothing(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    route = {"claude": {"url": scripted_upstream.url, "provider": "anthropic"}}
    with RunningGateway(tmp_path, scripted_upstream.url, routes=route) as gateway:
        ada = Budgeted(gateway, {"day": 2_000})
        response = ada.call(path="/v1/completions", model="claude", prompt="Once", max_tokens=5)
        assert response.status_code == 400
        assert left(response) == 2_000
        assert gateway.usage(1)[0].charged_tokens == 0


# Upstreams that misbehave


@pytest.mark.parametrize("stream", [False, True])
def test_usage_beyond_all_that_a_call_can_use_is_none(
    tmp_path: Path, scripted_upstream: ScriptedUpstream, stream: bool
) -> None:
    usage = {"prompt_tokens": 2**53, "completion_tokens": 2**53}
    scripted_upstream.default = Behaviour(body={"choices": [], "usage": usage})
    if stream:
        event = b'data: {"choices":[],"usage":%b}\n\n' % json.dumps(usage).encode()
        scripted_upstream.default = Behaviour(events=[event, b"data: [DONE]\n\n"])
    price = {"m": {"url": scripted_upstream.url, "price": {"input": 1e6, "output": 1e6}}}
    with RunningGateway(tmp_path, scripted_upstream.url, routes=price) as gateway:
        assert Budgeted(gateway, {"day": 2_000}).call(max_tokens=5, stream=stream).status_code == 200
        [record] = gateway.usage(1)
        assert 100 < record.charged_tokens <= 2_000


def test_a_stream_is_cut_where_its_lease_ends(gateway: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.default = Behaviour(content=["x"] * 6000, chunk_delay=0.01)
    ada = Budgeted(gateway, {"day": 10_000})
    chunks = chunks_of(ada.call(max_tokens=5, stream=True))
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "xxxxx"
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    [request] = scripted_upstream.requests
    scripted_upstream.wait_until(lambda: request.disconnected)
    assert 5 < gateway.usage(1)[0].charged_tokens < 250


def test_a_plain_answer_beyond_its_lease_is_charged_in_full_and_logged(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2_000}
    scripted_upstream.default = Behaviour(body={"choices": [], "usage": usage})
    ada = Budgeted(gateway, {"day": 2_000})
    assert left(ada.call(max_tokens=5)) == 0
    assert gateway.usage(1)[0].charged_tokens == 2_005
    assert [record.levelno for record in caplog.records if "had leased" in record.message] == [logging.ERROR]


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(status=400, body=error_body("no")),
        Behaviour(status=401, body="no"),
        Behaviour(status=503, body="no"),
        Behaviour(status=307, body="no"),
    ],
)
def test_a_request_that_the_upstream_refused_costs_nothing(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, behaviour: Behaviour
) -> None:
    scripted_upstream.default = behaviour
    response = Budgeted(gateway, {"day": 2_000}).call(max_tokens=5)
    assert left(response) == 2_000
    assert gateway.usage(1)[0].charged_tokens == 0


def test_an_upstream_that_is_down_costs_nothing(gateway: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.stop_listening()
    response = Budgeted(gateway, {"day": 2_000}).call(max_tokens=5)
    assert response.status_code == 502
    assert left(response) == 2_000


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_breaks_off_is_charged_what_it_can_have_cost(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, stream: bool
) -> None:
    scripted_upstream.default = Behaviour(content=["x"] * 8, stop_at="in_body")
    response = Budgeted(gateway, {"day": 2_000}).call(max_tokens=8, stream=stream)
    charged = gateway.usage(1)[0].charged_tokens
    assert left(response) == 2_000 - charged or stream
    assert 100 < charged < 250, "the prompt's bound and all eight tokens, which is the lease"


def test_a_stream_without_usage_is_charged_no_less_than_it_can_have_cost(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"four"}}]}\n\n'
    scripted_upstream.default = Behaviour(events=[event] * 3 + [b"data: [DONE]\n\n"])
    Budgeted(gateway, {"day": 200_000}).call(max_tokens=100_000, stream=True)
    assert 100 + 12 < gateway.usage(1)[0].charged_tokens < 10_000


def test_usage_told_on_the_way_is_not_taken_for_the_whole(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    event = (
        b'data: {"choices":[{"index":0,"delta":{"content":"four"}}],"usage":{"prompt_tokens":5,"completion_tokens":1}}'
    )
    scripted_upstream.default = Behaviour(events=[event + b"\n\n"])  # and it breaks off
    Budgeted(gateway, {"day": 2_000}).call(
        max_tokens=500, stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True}
    )
    assert gateway.usage(1)[0].charged_tokens > 64, "what was on its way counts"


def test_an_upstream_without_a_tokenizer_is_asked_once(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    ada = Budgeted(gateway, {"day": 1_000})
    for _ in range(2):
        assert ada.call(max_tokens=5_000).headers["x-sluice-budget"].startswith("limited")
    assert [request.path for request in scripted_upstream.requests].count("/tokenize") == 1


def test_where_several_models_may_answer_the_most_that_one_counts_is_held_and_remembered(tmp_path: Path) -> None:
    with CountingEngine() as small, CountingEngine() as large:
        large.TEMPLATE = 30
        route = {"upstreams": [{"url": small.url, "model": "small"}, {"url": large.url, "model": "large", "weight": 0}]}
        with RunningGateway(tmp_path, small.url, routes={"either": route}) as gateway:
            ada = Budgeted(gateway, {"day": 200})
            for _ in range(2):
                refused = ada.call(model="either", content="word " * 170, max_tokens=1)
                assert "needs up to 201 tokens" in error_of(refused)["message"]
            assert (small.tokenized, large.tokenized) == (1, 1)
            assert ada.call(model="either", content="word " * 160, max_tokens=1).status_code == 200


def test_a_client_that_leaves_pays_no_more_than_its_lease_and_no_less_than_was_made(
    tmp_path: Path,
) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 400, "stream": True}
    # So slow that it cannot write the tokens that are allowed for before a busy machine tells it to stop.
    with CountingEngine(seconds=0.02) as engine, RunningGateway(tmp_path, engine.url) as gateway:
        ada = Budgeted(gateway, {"day": 10_000})
        headers = {"authorization": f"Bearer {ada.token}"}
        url = f"{gateway.origin}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, headers=headers, timeout=60) as response:
            for _, _line in zip(range(20), response.iter_lines(), strict=False):
                pass
        [record] = gateway.usage(1)
        assert record.status == 499
        time.sleep(0.1)
        assert engine.made <= record.charged_tokens <= 128 + 60 + 400


def test_an_answer_that_takes_too_long_ends_with_an_error_and_holds_nothing(
    tmp_path: Path, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.default = Behaviour(content=["x"] * 100_000, chunk_delay=0.02)
    route = {"url": scripted_upstream.url, "timeouts": {"total_seconds": 0.5}}
    with RunningGateway(tmp_path, scripted_upstream.url, routes={"m": route}) as gateway:
        response = Budgeted(gateway, {"day": 100_000}).call(max_tokens=50_000, stream=True)
        *_, last = response.text.strip().split("\n\n")
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_timeout"
        [record] = gateway.usage(1)
        assert (record.status, record.error) == (504, "upstream_timeout")
        assert 0 < record.charged_tokens < 50_000
        [[budget]] = list_budgets(gateway.engine).values()
        used = asyncio.run(gateway.application.traffic._metering.ledger.used(budget))
        assert used == (record.charged_tokens, 0)


def test_a_services_answer_is_charged_on_the_calls_it_makes(
    tmp_path: Path, scripted_upstream: ScriptedUpstream
) -> None:
    service = {"module": "none", "port": scripted_upstream.port, "models": ["agent/analyst"]}
    with RunningGateway(tmp_path, scripted_upstream.url, services={"knowledge": service}) as gateway:
        ada = Budgeted(gateway, {"day": 5})
        assert ada.call(model="agent/analyst").status_code == 200
        [record] = gateway.usage(1)
        assert record.completion_tokens > 0
        assert record.charged_tokens == 0


# Who asked


@pytest.mark.parametrize(
    ("header", "parent"),
    [("req-" + "0a" * 14, "req-" + "0a" * 14), ("req-xyz", None), ("req-" + "0" * 200, None), ("", None)],
)
def test_a_parent_is_recorded_if_it_is_a_requests_id(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, header: str, parent: str | None
) -> None:
    gateway.post({"model": "m", "messages": []}, headers={"x-sluice-parent": header})
    assert gateway.usage(1)[0].parent_id == parent
    assert scripted_upstream.requests[0].header("x-sluice-parent") is None


def test_a_429_tells_of_the_limit_that_was_reached(counted: RunningGateway) -> None:
    ada = Budgeted(counted, {})
    set_limit(counted.engine, f"key:{ada.key.id}", "requests", 2, by="tester")
    set_limit(counted.engine, f"key:{ada.key.id}", "tokens", 1_000, by="tester")
    counted.wait_for_meters(f"key:{ada.key.id}/requests", f"key:{ada.key.id}/tokens")
    first, second, third = (ada.call(max_tokens=20) for _ in range(3))
    assert [first.status_code, second.status_code, third.status_code] == [200, 200, 429]
    told = {name: value for name, value in third.headers.items() if name.startswith("x-ratelimit")}
    assert told == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    assert third.headers["retry-after"] == "30"


def test_a_priced_call_costs_what_its_tokens_do_whether_or_not_anything_is_counted(
    tmp_path: Path, counting_engine: CountingEngine
) -> None:
    priced = {"url": counting_engine.url, "model": "m", "price": {"input": 1, "output": 2}}
    cost = PROMPT * 1_000 + 20 * 2_000
    with RunningGateway(tmp_path, counting_engine.url, routes={"priced": priced}) as gateway:
        body = {"model": "priced", "max_tokens": 20, "messages": [{"role": "user", "content": "Hello"}]}
        for token in (gateway.key, Budgeted(gateway, {"day": 10_000}).token):
            response = gateway.post(body, headers={"authorization": f"Bearer {token}"})
            assert response.headers["x-sluice-cost"] == f"0.{cost:09d}"
            assert (
                gateway.post({**body, "stream": True}, headers={"authorization": f"Bearer {token}"}).status_code == 200
            )
        assert "x-sluice-cost" not in gateway.post({**body, "model": "m"}).headers
        assert [record.cost for record in gateway.usage(5)] == [cost] * 4 + [0]
