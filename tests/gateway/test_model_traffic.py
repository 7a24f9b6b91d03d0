"""The request path from socket to usage record, through a real server and a scripted upstream."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from sluice.identity import create_key, revoke_key
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body
from tests.gateway.running_gateway import RunningGateway

MESSAGES: Any = [{"role": "user", "content": "Hello?"}]
CHAT = {"model": "m", "messages": MESSAGES}
TEXT = ("Grüß", " Gott", ", 世界", "! 🌍")


def test_a_plain_answer_passes_and_is_recorded(gateway: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(content=TEXT))
    raw = gateway.client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES, seed=7)
    answer = raw.parse()
    assert answer.choices[0].message.content == "".join(TEXT)
    assert answer.usage is not None
    [record] = gateway.usage(1)
    assert record.request_id == raw.headers["x-request-id"]
    assert record.key_id == gateway.key.split("-")[2]
    assert (record.route, record.endpoint, record.status, record.streamed) == ("m", "chat.completions", 200, False)
    assert (record.prompt_tokens, record.completion_tokens) == (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
    )
    assert 0 < record.first_byte_ms <= record.duration_ms


def test_what_the_client_sends_reaches_the_upstream_untouched_and_without_its_key(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    body = b'{ "model":"m", "messages":[{"role":"user","content":"\\u00e9"}], "temperature":0.10, "top_k":-1, "guided":{"a":[1,2.50]} }'
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "cookie": "secret=1"}
    response = gateway.post(body, headers=headers)
    assert response.status_code == 200
    [sent] = scripted_upstream.requests
    assert sent.body == body
    assert sent.header("traceparent") == headers["traceparent"]
    assert sent.header("x-request-id") == response.headers["x-request-id"]
    assert sent.header("authorization") is None
    assert sent.header("cookie") is None


@pytest.mark.parametrize("include_usage", [False, True])
@pytest.mark.parametrize("pieces", [(), (1,), (7, 3, 64)])
def test_a_stream_says_what_a_plain_answer_says(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, pieces: tuple[int, ...], include_usage: bool
) -> None:
    scripted_upstream.next(Behaviour(content=TEXT, pieces=pieces), Behaviour(content=TEXT))
    options: Any = {"stream_options": {"include_usage": True}} if include_usage else {}
    chunks = list(gateway.client.chat.completions.create(model="m", messages=MESSAGES, stream=True, **options))
    plain = gateway.client.chat.completions.create(model="m", messages=MESSAGES)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == plain.choices[0].message.content
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == [
        plain.choices[0].finish_reason
    ]
    assert [chunk.usage for chunk in chunks if chunk.usage] == ([plain.usage] if include_usage else [])
    streamed, recorded = gateway.usage(2)
    assert streamed.streamed
    assert (streamed.prompt_tokens, streamed.completion_tokens) == (recorded.prompt_tokens, recorded.completion_tokens)


def test_events_reach_the_client_as_they_come(gateway: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    go_on = threading.Event()
    scripted_upstream.next(Behaviour(content=("a", "b"), go_on=go_on))
    with gateway.client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream:
        assert next(stream).choices[0].delta.role == "assistant"
        go_on.set()
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "ab"


def test_completions_and_embeddings(gateway: RunningGateway) -> None:
    assert gateway.client.completions.create(model="m", prompt="a").choices[0].text
    vector = gateway.client.embeddings.create(model="m", input=["a", "b"], encoding_format="float").data[1].embedding
    assert vector
    assert gateway.client.embeddings.create(model="m", input="a").data[0].embedding  # base64
    assert [record.endpoint for record in gateway.usage(3)] == ["completions", "embeddings", "embeddings"]


def test_a_routes_own_model_name_goes_upstream(gateway: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    gateway.client.chat.completions.create(model="alias", messages=MESSAGES)
    assert scripted_upstream.requests[0].json["model"] == "m"
    assert gateway.usage(1)[0].route == "alias"


# Keys


def refusal(response: httpx.Response) -> dict[str, Any]:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_missing_wrong_expired_and_revoked_keys_get_one_answer(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    row, revoked = create_key(gateway.engine, owner="x")
    revoke_key(gateway.engine, row.id)
    answers = []
    for authorization in [
        "",
        "Bearer",
        "Bearer  x",
        "Basic abc",
        f"Bearer {gateway.key[:-1]}{'y' if gateway.key.endswith('x') else 'x'}",
        "Bearer sk-other",
        f"Bearer {revoked}",
    ]:
        response = gateway.post(CHAT, headers={"authorization": authorization})
        answers.append((response.status_code, json.dumps(refusal(response))))
    assert len(set(answers)) == 1
    assert answers[0][0] == 401
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{gateway.origin}/v1", api_key="sk-x", max_retries=0).models.list()
    assert not scripted_upstream.requests


def test_a_new_key_works_at_once_and_a_revoked_one_ends_with_the_next_refresh(gateway: RunningGateway) -> None:
    row, text = create_key(gateway.engine, owner="x")
    headers = {"authorization": f"Bearer {text}"}
    assert gateway.post(CHAT, headers=headers).status_code == 200
    revoke_key(gateway.engine, row.id)
    revoked = time.monotonic()
    gateway.wait(lambda: gateway.application.keyring.age < time.monotonic() - revoked)
    assert gateway.post(CHAT, headers=headers).status_code == 401


def test_a_key_meets_only_its_models(gateway: RunningGateway) -> None:
    _, text = create_key(gateway.engine, owner="x", models=["alias"])
    client = openai.OpenAI(base_url=f"{gateway.origin}/v1", api_key=text, max_retries=0)
    assert [model.id for model in client.models.list()] == ["alias"]
    assert client.chat.completions.create(model="alias", messages=MESSAGES)
    with pytest.raises(openai.NotFoundError) as forbidden:
        client.chat.completions.create(model="m", messages=MESSAGES)
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="n", messages=MESSAGES)
    assert forbidden.value.code == unknown.value.code == "model_not_found"
    assert forbidden.value.message.replace("'m'", "'n'") == unknown.value.message


# Bad requests


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        (b"{bad", 400, None, "invalid_json"),
        (b"", 400, None, "invalid_json"),
        (b'{"messages":[]}', 400, "model", None),
        (b'{"model":["m"]}', 400, "model", None),
        (b'{"model":"' + b"x" * 5000 + b'"}', 404, "model", "model_not_found"),
    ],
)
def test_a_bad_body_is_refused_and_recorded(
    gateway: RunningGateway, body: bytes, status: int, param: str | None, code: str | None
) -> None:
    response = gateway.post(body)
    error = refusal(response)
    assert (response.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) < 300
    record = gateway.usage(1)[0]
    assert (record.status, record.route, record.prompt_tokens) == (status, "", 0)


def test_method_and_path(gateway: RunningGateway) -> None:
    get = httpx.get(f"{gateway.origin}/v1/chat/completions", timeout=60)
    assert (get.status_code, refusal(get)["code"]) == (405, "method_not_allowed")
    nowhere = httpx.get(f"{gateway.origin}/v2", timeout=60)
    assert (nowhere.status_code, refusal(nowhere)["code"]) == (404, "not_found")


def test_a_body_over_the_limit_is_refused_before_it_is_read(
    tmp_path: Path, scripted_upstream: ScriptedUpstream
) -> None:
    with RunningGateway(tmp_path, scripted_upstream.url, limits={"body_bytes": 100_000}) as gateway:
        with gateway.connect() as raw:
            raw.sendall(gateway.head(10**12))
            assert b"HTTP/1.1 413" in raw.recv(4096)
        chunked = gateway.post(iter([b" " * 1000] * 200))
        assert (chunked.status_code, refusal(chunked)["code"]) == (413, "request_too_large")
        assert gateway.post(json.dumps(CHAT).encode() + b" " * 90_000).status_code == 200


def test_a_body_that_does_not_come_times_out(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    limits = {"body_seconds": 0.2}
    with RunningGateway(tmp_path, scripted_upstream.url, limits=limits) as gateway, gateway.connect() as raw:
        raw.sendall(gateway.head(100) + b"{")
        answer = raw.recv(4096)
        assert b"HTTP/1.1 408" in answer
        assert b"request_timeout" in answer
        assert gateway.usage(1)[0].status == 408


# Upstreams that fail


@pytest.mark.parametrize(
    ("behaviour", "status", "code"),
    [
        (Behaviour(stop_at=0), 502, "upstream_failed"),
        (Behaviour(stop_at="in_head"), 502, "upstream_failed"),
        (Behaviour(stop_at="in_body"), 502, "upstream_failed"),
        (Behaviour(stop_at="in_body", stop="reset"), 502, "upstream_failed"),
        (Behaviour(raw=b"220 smtp ready\r\n"), 502, "upstream_failed"),
        (Behaviour(stop_at="in_body", stop="stall"), 504, "upstream_timeout"),
        (Behaviour(stop_at=0, stop="stall"), 504, "upstream_timeout"),
        (Behaviour(status=500, body="no JSON"), 500, None),
        (Behaviour(status=503, body=error_body("busy", status=503)), 503, None),
        (Behaviour(status=401, body=error_body("key sk-hidden", status=401)), 502, "upstream_failed"),
        (
            Behaviour(status=400, body=error_body("This model's maximum context length is 5 tokens.")),
            400,
            "context_length_exceeded",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_upstreams_failure_is_a_clear_error(
    tmp_path: Path,
    scripted_upstream: ScriptedUpstream,
    behaviour: Behaviour,
    status: int,
    code: str | None,
    stream: bool,
) -> None:
    limit = 0.3 if behaviour.stop == "stall" else 600
    waits = {"first_byte_seconds": limit, "idle_seconds": limit}
    scripted_upstream.default = behaviour
    with RunningGateway(tmp_path, scripted_upstream.url, upstream=waits) as gateway:
        response = gateway.post(CHAT | {"stream": stream})
        [record] = gateway.usage(1)
    assert "sk-hidden" not in response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        assert response.status_code == 200
        error = json.loads(response.text.strip().split("\n\n")[-1].removeprefix("data: "))["error"]
    else:
        assert response.status_code == status
        error = refusal(response)
    assert error["code"] == code
    assert record.status == status
    assert record.error == code


def test_an_upstreams_wish_to_wait_reaches_the_client(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    headers = [("retry-after", "7")]
    scripted_upstream.next(Behaviour(status=429, body=error_body("slow down", status=429), headers=headers))
    response = gateway.post(CHAT)
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert refusal(response)["type"] == "rate_limit_error"


def test_an_unexpected_failure_is_told_without_its_cause(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("gateway.forward.usage_of", fail)
    response = gateway.post(CHAT)
    assert (response.status_code, refusal(response)["code"]) == (500, "internal_error")
    assert "secret" not in response.text
    assert gateway.usage(1)[0].status == 500


def test_an_upstream_that_is_down(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.stop_listening()
    with RunningGateway(tmp_path, scripted_upstream.url) as gateway:
        response = gateway.post(CHAT)
        assert (response.status_code, refusal(response)["code"]) == (502, "upstream_failed")


@pytest.mark.parametrize("stop", ["close", "reset", "stall"])
def test_a_stream_that_breaks_off_ends_with_an_error_event(
    tmp_path: Path, scripted_upstream: ScriptedUpstream, stop: Any
) -> None:
    scripted_upstream.next(Behaviour(content=TEXT, stop_at=1200, stop=stop))
    with RunningGateway(
        tmp_path, scripted_upstream.url, upstream={"idle_seconds": 1 if stop == "stall" else 600}
    ) as gateway:
        chunks: list[Any] = []
        with pytest.raises(openai.APIError) as raised:
            chunks.extend(gateway.client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
        assert raised.value.code in ("upstream_failed", "upstream_timeout")
        [record] = gateway.usage(1)
        assert record.status in (502, 504)
        assert record.completion_tokens >= 1


def test_a_stream_that_ends_cleanly_but_early_is_an_error(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    scripted_upstream.next(Behaviour(events=[event, event]))
    response = gateway.post(CHAT | {"stream": True})
    assert response.text.count("data: ") == 3
    assert "upstream_failed" in response.text
    assert gateway.usage(1)[0].completion_tokens == 2


def test_an_error_event_of_the_upstream_passes_and_is_recorded(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(content=TEXT, error_event_after=2))
    with pytest.raises(openai.APIError, match="the engine died"):
        list(gateway.client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    assert gateway.usage(1)[0].error == "500"


def test_a_stale_connection_to_the_upstream_is_not_the_clients_problem(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    assert gateway.post(CHAT).status_code == 200
    scripted_upstream.drop_connections()
    assert gateway.post(CHAT).status_code == 200


# Clients that leave


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "behaviour", [Behaviour(stop_at=0, stop="stall"), Behaviour(content=["x"] * 6000, chunk_delay=0.1)]
)
def test_a_client_that_leaves_ends_the_upstreams_work_at_once(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, behaviour: Behaviour, stream: bool
) -> None:
    if behaviour.chunk_delay and not stream:
        behaviour = Behaviour(head_delay=600)
    scripted_upstream.next(behaviour)
    body = json.dumps(CHAT | {"stream": stream}).encode()
    with gateway.connect() as raw:
        raw.sendall(gateway.head(len(body)) + body)
        scripted_upstream.wait_until(lambda: scripted_upstream.requests)
        if behaviour.chunk_delay:
            assert raw.recv(65536)
    [request] = scripted_upstream.requests
    scripted_upstream.wait_until(lambda: request.disconnected)
    [record] = gateway.usage(1)
    assert (record.status, record.error) == (499, "client_gone")
    gateway.wait(lambda: not gateway.application.traffic.open)


def test_a_client_that_leaves_before_its_body_is_complete(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    with gateway.connect() as raw:
        raw.sendall(gateway.head(100) + b"{")
        time.sleep(0.1)
    assert gateway.usage(1)[0].status == 499
    assert not scripted_upstream.requests


def test_a_slow_reader_slows_the_upstream_and_gets_everything(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(content=["x" * 10_000] * 2000))
    body = json.dumps(CHAT | {"stream": True}).encode()
    received = 0
    with gateway.connect() as raw:
        raw.sendall(gateway.head(len(body)) + body)
        scripted_upstream.wait_until_stuck()
        [request] = scripted_upstream.requests
        assert request.completed_at is None
        assert request.answer_bytes < 15_000_000
        tail = b""
        while not tail.endswith(b"0\r\n\r\n"):
            data = raw.recv(1 << 20)
            received += len(data)
            tail = (tail + data)[-20:]
    assert received > 20_000_000
    assert gateway.usage(1)[0].completion_tokens == 2000


def test_many_at_once(gateway: RunningGateway) -> None:
    import concurrent.futures

    def one(number: int) -> int:
        return gateway.post(CHAT | {"stream": number % 2 == 0}).status_code

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one, range(200))) == {200}
    records = gateway.usage(200)
    assert len({record.request_id for record in records}) == 200
