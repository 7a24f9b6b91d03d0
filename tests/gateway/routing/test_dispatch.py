"""Attempts and their order, through a running gateway with several upstreams."""

import json
import re
import threading
from typing import Any

import httpx
import pytest

from gateway.exchange import Exchange
from gateway.routing.failure import FailedAttempt
from sluice.identity.limits import set_limit
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body
from tests.gateway.metering.conftest import Budgeted, left
from tests.gateway.routing.conftest import Serve, chat, route_of

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
TOO_LONG = error_body("This model's maximum context length is 5 tokens.")
FILTERED = {"error": {"message": "Filtered.", "code": "content_filter"}}

UNAVAILABLE = {
    "cut off before the answer": Behaviour(stop_at=0),
    "no HTTP": Behaviour(raw=b"220 smtp ready\r\n"),
    "500": Behaviour(status=500, body="no JSON"),
    "503": Behaviour(status=503, body=error_body("busy", status=503)),
    "our key refused": Behaviour(status=401, body=error_body("key", status=401)),
    "a redirect": Behaviour(status=302, body=""),
}
BY_CLASS = [
    *(("unavailable", behaviour) for behaviour in UNAVAILABLE.values()),
    ("rate_limited", Behaviour(status=429, body=error_body("slow down", status=429))),
    ("too_long", Behaviour(status=400, body=TOO_LONG)),
    ("refused_content", Behaviour(status=400, body=FILTERED)),
]


def text_of(response: httpx.Response) -> str:
    """What the answer says, plain or streamed."""
    if not response.headers["content-type"].startswith("text/event-stream"):
        return response.json()["choices"][0]["message"]["content"]
    *events, done = response.text.strip().split("\n\n")
    assert done == "data: [DONE]"
    parsed = [json.loads(event.removeprefix("data: ")) for event in events]
    return "".join(choice["delta"].get("content") or "" for event in parsed for choice in event["choices"])


def error_of(response: httpx.Response) -> dict[str, Any]:
    if response.headers["content-type"].startswith("text/event-stream"):
        return json.loads(response.text.strip().split("\n\n")[-1].removeprefix("data: "))["error"]
    return response.json()["error"]


def told(response: httpx.Response) -> tuple[str | None, str | None]:
    return response.headers.get("x-sluice-upstream"), response.headers.get("x-sluice-attempts")


# Fallbacks


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("failure", "behaviour"), BY_CLASS)
def test_a_fallback_is_chosen_by_what_went_wrong(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream, failure: str, behaviour: Behaviour, stream: bool
) -> None:
    near.next(behaviour)
    near.next(Behaviour(status=500, body="the wrong route"))
    far.default = Behaviour(content=("from", " afar"))
    classes = ("unavailable", "rate_limited", "too_long", "refused_content")
    fallbacks = {name: ["far" if name == failure else "near"] for name in classes}
    gateway = serve(
        r={"url": near.url, "fallbacks": fallbacks}, far={"url": far.url, "name": "faraway"}, near={"url": near.url}
    )
    response = gateway.post(chat(stream=stream))
    assert response.status_code == 200
    assert text_of(response) == "from afar"
    assert told(response) == ("faraway", "2")
    assert far.requests[0].json["model"] == "far"
    assert len(near.requests) == len(far.requests) == 1
    [record] = gateway.usage(1)
    assert (record.route, record.status, record.completion_tokens) == ("r", 200, 2)


def test_a_plain_answer_that_breaks_off_is_another_upstreams(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.next(Behaviour(stop_at="in_body"))
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["far"]}}, far={"url": far.url})
    assert gateway.post(chat()).status_code == 200
    assert len(far.requests) == 1


def test_a_request_that_is_wrong_is_wrong_everywhere(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    classes = ("unavailable", "rate_limited", "too_long", "refused_content")
    gateway = serve(r={"url": near.url, "fallbacks": {name: ["far"] for name in classes}}, far={"url": far.url})
    for status in (400, 404, 422):
        near.next(Behaviour(status=status, body=error_body("nonsense", status=status)))
        response = gateway.post(chat())
        assert (response.status_code, error_of(response)["message"]) == (status, "nonsense")
    assert not far.requests


def test_an_upstream_that_is_down_and_one_after_the_other(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.next(Behaviour(status=500, body="broken"))
    far.next(Behaviour(status=429, body=error_body("slow down", status=429)))
    gateway = serve(
        r={"url": "http://127.0.0.1:1/v1", "name": "down", "fallbacks": {"unavailable": ["near", "far", "last"]}},
        near={"url": near.url},
        far={"url": far.url},
        last={"url": far.url, "name": "last"},
    )
    response = gateway.post(chat())
    assert response.status_code == 200
    assert told(response) == ("last", "4")


def test_where_all_fail_the_error_says_what_was_tried(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.next(Behaviour(status=500, body="broken"))
    busy = Behaviour(status=429, body=error_body("Slow down.", status=429), headers=[("retry-after", "7")])
    far.next(busy, busy)
    gateway = serve(
        r={"url": near.url, "name": "one", "fallbacks": {"unavailable": ["far"]}}, far={"url": far.url, "name": "two"}
    )
    response = gateway.post(chat())
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert error_of(response)["message"] == "Slow down. Tried: one (unavailable), two (rate_limited)."
    assert told(response) == ("two", "2")
    assert gateway.usage(1)[0].status == 429


def test_fallbacks_of_a_fallback_are_not_followed(serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream) -> None:
    gateway = serve(
        r={"url": "http://127.0.0.1:1/v1", "fallbacks": {"unavailable": ["s"]}},
        s={"url": "http://127.0.0.1:2/v1", "fallbacks": {"unavailable": ["far"]}},
        far={"url": far.url},
    )
    assert gateway.post(chat()).status_code == 502
    assert not far.requests
    assert gateway.post(chat("s")).status_code == 200


def test_a_fallback_that_cannot_take_the_request_does_not_hide_the_failure(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.next(Behaviour(status=503, body=error_body("Too busy.", status=503)))
    far.next(Behaviour(status=400, body=error_body("I know no such field.")))
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["far"]}}, far={"url": far.url})
    response = gateway.post(chat())
    assert response.status_code == 503
    assert re.match(r"Too busy\. Tried: r@.* \(unavailable\), far@.* \(refused\)\.", error_of(response)["message"])


# Streams: until the first token


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(stop_at="after_head"),
        Behaviour(events=[ROLE]),
        Behaviour(events=[b": a comment\n\n", ROLE, b"data: [", ROLE]),
        Behaviour(error_event_after=1),
        Behaviour(error_event_after=0),
    ],
)
def test_a_stream_that_fails_before_its_first_token_is_another_upstreams(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream, behaviour: Behaviour
) -> None:
    near.next(behaviour)
    far.default = Behaviour(content=("from", " afar"))
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["far"]}}, far={"url": far.url})
    response = gateway.post(chat(stream=True))
    assert text_of(response) == "from afar"
    assert "event-stream" in response.headers["content-type"]


def test_a_stream_that_fails_after_its_first_token_ends_with_an_error(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.next(Behaviour(events=[ROLE, ROLE.replace(b'""', b'"a"')]))
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["far"]}}, far={"url": far.url})
    response = gateway.post(chat(stream=True))
    assert response.text.count("data: ") == 3
    assert error_of(response)["code"] == "upstream_failed"
    assert not far.requests
    assert route_of(gateway, "r").targets[0].outcomes["broke_off"] == 1


@pytest.mark.parametrize("pieces", [(), (1,), (7, 3, 64)])
def test_what_was_held_back_comes_whole(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream, pieces: Any
) -> None:
    near.default = far.default = Behaviour(pieces=pieces)
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["far"]}}, far={"url": far.url})
    assert gateway.post(chat(stream=True)).text == gateway.post(chat("m", stream=True)).text.replace('"m"', '"r"')


# Retries


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("behaviour", "after_work", "again"),
    [
        (Behaviour(status=503, body=error_body("busy", status=503)), False, True),
        (Behaviour(status=429, body=error_body("busy", status=429)), False, True),
        (Behaviour(status=500, body="broken"), False, False),
        (Behaviour(status=500, body="broken"), True, True),
        (Behaviour(stop_at=0), False, False),
        (Behaviour(stop_at=0), True, True),
        (Behaviour(status=400, body=error_body("nonsense")), True, False),
    ],
)
def test_only_what_cost_nothing_is_tried_again(
    serve: Serve, near: ScriptedUpstream, behaviour: Behaviour, after_work: bool, again: bool, stream: bool
) -> None:
    near.next(behaviour)
    gateway = serve(r={"url": near.url, "retries": {"backoff_seconds": 0.01, "after_work": after_work}})
    response = gateway.post(chat(stream=stream))
    assert (response.status_code == 200) is again
    assert len(near.requests) == 1 + again
    assert told(response) == (None, "2" if again else None)


def test_so_many_attempts_and_no_more(serve: Serve, near: ScriptedUpstream) -> None:
    near.default = Behaviour(status=503, body=error_body("Busy.", status=503))
    gateway = serve(r={"url": near.url, "name": "one", "retries": {"attempts": 3, "backoff_seconds": 0.01}})
    response = gateway.post(chat())
    assert (response.status_code, len(near.requests)) == (503, 4)
    assert error_of(response)["message"] == f"Busy. Tried: {', '.join(['one (unavailable)'] * 4)}."


def test_the_budget_ends_retries_for_all_requests(serve: Serve, near: ScriptedUpstream) -> None:
    near.default = Behaviour(status=503, body=error_body("Busy.", status=503))
    gateway = serve(r={"url": near.url, "retries": {"attempts": 1, "backoff_seconds": 0.01, "budget": 0.2}})
    retries = route_of(gateway, "r").plan.retries
    assert retries is not None
    retries.budget._clock = lambda: 1000.0
    for _ in range(30):
        gateway.post(chat())
    assert (retries.taken, retries.refused) == (6, 24)
    assert len(near.requests) == 36


def test_an_upstream_that_wants_to_be_left_alone_is(serve: Serve, near: ScriptedUpstream) -> None:
    wait = [("retry-after", "60")]
    near.next(Behaviour(status=429, body=error_body("slow down", status=429), headers=wait))
    gateway = serve(r={"url": near.url, "retries": {}})
    assert gateway.post(chat()).headers["retry-after"] == "60"
    assert len(near.requests) == 1


def test_another_upstream_of_the_route_is_asked_before_one_is_asked_again(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.default = Behaviour(status=503, body=error_body("busy", status=503), headers=[("retry-after", "60")])
    upstreams = [
        {"url": near.url, "name": "near", "model": "small"},
        {"url": far.url, "name": "far", "model": "large", "weight": 0.000001},
    ]
    gateway = serve(r={"upstreams": upstreams})
    response = gateway.post(chat(stream=True))
    assert response.status_code == 200
    assert told(response) == ("far", "2")
    assert [upstream.requests[0].json["model"] for upstream in (near, far)] == ["small", "large"]
    assert [upstream.requests[0].json["stream_options"] for upstream in (near, far)] == [{"include_usage": True}] * 2
    assert near.requests[0].header("x-request-id") == far.requests[0].header("x-request-id")


# What else is known of attempts


def test_a_failed_attempt_that_may_have_cost_tokens_is_noted(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[FailedAttempt] = []

    async def note(_: Exchange, attempt: FailedAttempt) -> None:
        noted.append(attempt)

    monkeypatch.setattr(Exchange, "attempt_failed", note)
    near.next(Behaviour(status=503, body="busy"), Behaviour(status=500, body="broken"), Behaviour(events=[ROLE]))
    route = {"url": near.url, "name": "one", "fallbacks": {"unavailable": ["far"]}}
    gateway = serve(r=route, far={"url": far.url})
    for stream in (False, False, True):
        assert gateway.post(chat(stream=stream)).status_code == 200
    assert [(attempt.upstream, attempt.may_have_cost) for attempt in noted] == [
        ("one", False),
        ("one", True),
        ("one", True),
    ]
    assert all(attempt.seconds > 0 for attempt in noted)


def test_a_failed_attempt_is_charged_what_it_can_have_cost(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.next(Behaviour(status=500, body="broken"), Behaviour(status=503, body="busy"))
    route = {"url": near.url, "fallbacks": {"unavailable": ["far"]}}
    gateway = serve(r=route, far={"url": far.url})
    ada = Budgeted(gateway, {"day": 10_000})
    twice, once = (ada.call(model="r", max_tokens=200) for _ in range(2))
    first, second = gateway.usage(2)
    used = twice.json()["usage"]["total_tokens"]
    assert used + 64 < first.charged_tokens < used + 400, "the prompt and what an engine writes in so short a time"
    assert second.charged_tokens == once.json()["usage"]["total_tokens"]
    assert left(once) == 10_000 - first.charged_tokens - second.charged_tokens


def test_another_attempt_needs_a_budget_for_itself(serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream) -> None:
    near.next(Behaviour(status=500, body="broken"))
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["far"]}}, far={"url": far.url})
    ada = Budgeted(gateway, {"day": 400})
    response = ada.call(model="r", max_tokens=200)
    assert response.status_code == 500, "the failure that began it, and not that there is no budget for more"
    assert not far.requests
    [record] = gateway.usage(1)
    assert 64 < record.charged_tokens <= 400
    assert left(response) == 400 - record.charged_tokens


def test_a_request_is_one_however_many_attempts_it_takes(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.next(Behaviour(status=500, body="broken"))
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["far"]}}, far={"url": far.url})
    ada = Budgeted(gateway, {"day": 10_000})
    for what in ("requests", "concurrent"):
        set_limit(gateway.engine, f"key:{ada.key.id}", what, 1, by="tester")
        gateway.wait_for_meters(f"key:{ada.key.id}/{what}")
    response = ada.call(model="r", max_tokens=20)
    assert response.status_code == 200
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert len(far.requests) == 1
    assert ada.call(model="r").status_code == 429


def test_another_attempt_is_never_made_with_less_than_the_first_was_told(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.next(Behaviour(status=500, body="broken"))
    gateway = serve(
        r={"url": near.url, "fallbacks": {"unavailable": ["far", "last"]}}, far={"url": far.url}, last={"url": far.url}
    )
    ada = Budgeted(gateway, {"day": 800})
    assert ada.call(model="r", max_tokens=500).status_code == 500
    assert not far.requests, "what is left holds an answer of some tokens, and far would write 500"


def test_a_fallback_that_is_not_asked_does_not_make_the_failure_before_it_free(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    breaker = {"failures": 1, "window_seconds": 30, "open_seconds": 600, "probes": 1}
    far.default = near.default = Behaviour(status=500, body="broken")
    gateway = serve(
        r={"url": near.url, "fallbacks": {"unavailable": ["far"]}},
        far={"url": far.url, "breaker": breaker},
    )
    gateway.post(chat("far"))
    ada = Budgeted(gateway, {"day": 10_000})
    response = ada.call(model="r", max_tokens=200)
    assert error_of(response)["code"] == "circuit_open"
    charged = max(record.charged_tokens for record in gateway.usage(2))
    assert charged > 64, "what the first may have read and written"
    assert left(response) == 10_000 - charged


def test_a_fallback_that_refuses_is_not_charged_for_the_failure_before_it(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.next(Behaviour(status=500, body="broken"))
    far.next(Behaviour(status=400, body=error_body("nonsense", status=400)))
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["far"]}}, far={"url": far.url})
    ada = Budgeted(gateway, {"day": 10_000})
    response = ada.call(model="r", max_tokens=20_000)
    [record] = gateway.usage(1)
    assert 64 < record.charged_tokens < 128 + 100 + 1_000
    assert left(response) == 10_000 - record.charged_tokens


def test_a_failed_attempt_is_charged_once_however_many_fallbacks_there_is_no_budget_for(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.next(Behaviour(status=500, body="broken"))
    gateway = serve(
        r={"url": near.url, "fallbacks": {"unavailable": ["far", "last"]}}, far={"url": far.url}, last={"url": far.url}
    )
    ada = Budgeted(gateway, {"day": 400})
    response = ada.call(model="r", max_tokens=200)
    assert not far.requests
    assert left(response) == 400 - gateway.usage(1)[0].charged_tokens


def test_a_route_of_one_upstream_tells_nothing_of_it(serve: Serve, near: ScriptedUpstream) -> None:
    response = serve(r={"url": near.url}).post(chat())
    assert told(response) == (None, None)


def test_a_client_that_leaves_ends_the_attempt(serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream) -> None:
    near.next(Behaviour(stop_at=0, stop="stall"))
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["far"]}}, far={"url": far.url})
    body = json.dumps(chat()).encode()
    with gateway.connect() as raw:
        raw.sendall(gateway.head(len(body)) + body)
        near.wait_until(lambda: near.requests)
    near.wait_until(lambda: near.requests[0].disconnected)
    gateway.wait(lambda: route_of(gateway, "r").targets[0].outcomes["cancelled"] == 1)
    assert gateway.usage(1)[0].status == 499
    assert not far.requests


def test_metrics_tell_what_routes_do(serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream) -> None:
    near.default = Behaviour(status=503, body=error_body("busy", status=503))
    gateway = serve(
        r={
            "url": near.url,
            "name": "one",
            "retries": {"attempts": 1, "backoff_seconds": 0.01},
            "breaker": {"failures": 2},
            "fallbacks": {"unavailable": ["far"]},
        },
        far={"url": far.url, "name": "two"},
    )
    gateway.post(chat())
    text = httpx.get(f"{gateway.origin}/metrics", trust_env=False).text
    assert 'sluice_upstream_requests_total{outcome="unavailable",route="r",upstream="one"} 2.0' in text
    assert 'sluice_upstream_requests_total{outcome="ok",route="far",upstream="two"} 1.0' in text
    assert 'sluice_upstream_open{upstream="one"} 1.0' in text
    assert 'sluice_route_retries_total{route="r",taken="yes"} 1.0' in text
    assert 'sluice_route_fallbacks_total{reason="unavailable",route="r",to="far"} 1.0' in text


def test_embeddings_and_completions_have_fallbacks_too(
    serve: Serve, near: ScriptedUpstream, far: ScriptedUpstream
) -> None:
    near.default = Behaviour(status=503, body=error_body("busy", status=503))
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["far"]}}, far={"url": far.url})
    assert gateway.client.embeddings.create(model="r", input="a").data[0].embedding
    assert gateway.client.completions.create(model="r", prompt="a").choices[0].text


def test_events_pass_at_once_where_nothing_else_could_answer(serve: Serve, near: ScriptedUpstream) -> None:
    go_on = threading.Event()
    near.next(Behaviour(content=("a", "b"), go_on=go_on))
    gateway = serve(r={"url": near.url})
    with gateway.client.chat.completions.create(**chat(stream=True)) as stream:  # type: ignore[call-overload]
        assert next(stream).choices[0].delta.role == "assistant"
        go_on.set()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "ab"
