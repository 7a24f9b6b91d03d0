"""The cache in a whole gateway, with either store."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from sluice.identity import create_key
from sluice.settings import RedisSettings
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body
from tests.gateway.running_gateway import RunningGateway

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}], "temperature": 0}
STREAM = CHAT | {"stream": True}
PATHS = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "m", "prompt": "Hello?", "temperature": 0.0},
    "/v1/embeddings": {"model": "m", "input": ["a", "b"]},
}


@pytest.fixture
def gateway(tmp_path: Path, scripted_upstream: ScriptedUpstream, sections: dict[str, Any]) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path, scripted_upstream.url, sections=sections) as running:
        yield running


@pytest.fixture
def in_memory(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> Iterator[RunningGateway]:
    """For what does not depend on the store."""
    with RunningGateway(tmp_path, scripted_upstream.url, sections={"cache": {"enabled": True}}) as running:
        yield running


def outcome(response: httpx.Response) -> str:
    return response.headers["x-sluice-cache"]


def outcomes(gateway: RunningGateway, *bodies: dict[str, Any], headers: dict[str, str] | None = None) -> list[str]:
    return [outcome(gateway.post(body, headers=headers)) for body in bodies]


# What is kept


@pytest.mark.parametrize("path", PATHS)
def test_the_same_again_is_answered_without_the_model(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, path: str
) -> None:
    first, again = gateway.post(PATHS[path], path), gateway.post(PATHS[path], path)
    assert (outcome(first), outcome(again)) == ("miss", "hit")
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(scripted_upstream.requests) == 1


@pytest.mark.parametrize("include_usage", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_stream_is_replayed_as_it_was(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, path: str, include_usage: bool
) -> None:
    body = PATHS[path] | {"stream": True, "stream_options": {"include_usage": include_usage}}
    first, again = gateway.post(body, path), gateway.post(body, path)
    assert (outcome(first), outcome(again)) == ("miss", "hit")
    assert again.content == first.content
    assert again.content.endswith(b"data: [DONE]\n\n")
    assert (b'"usage":{' in again.content) is include_usage
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["cache-control"] == "no-cache"
    assert outcome(gateway.post(PATHS[path], path)) == "miss"  # plain is another request
    assert len(scripted_upstream.requests) == 2


def test_the_official_client_reads_a_replayed_stream(in_memory: RunningGateway) -> None:
    def text() -> str:
        stream = in_memory.client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}], temperature=0, stream=True
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    assert text() == text() != ""


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["plain", "stream"])
def test_a_hit_is_recorded_with_its_tokens_and_charged_nothing(gateway: RunningGateway, body: dict[str, Any]) -> None:
    assert outcomes(gateway, body, body) == ["miss", "hit"]
    made, hit = gateway.usage(2)
    assert hit.status == 200
    assert (hit.prompt_tokens, hit.completion_tokens) == (made.prompt_tokens, made.completion_tokens) > (0, 0)
    assert (made.charged_tokens, hit.charged_tokens) == (made.prompt_tokens + made.completion_tokens, 0)
    assert hit.streamed is made.streamed is bool(body.get("stream"))
    assert hit.first_byte_ms is None


def test_what_a_gateway_kept_in_redis_another_finds(
    tmp_path: Path, scripted_upstream: ScriptedUpstream, redis_settings: RedisSettings
) -> None:
    sections = {"cache": {"enabled": True, "store": "redis"}, "redis": redis_settings.model_dump()}
    with RunningGateway(tmp_path, scripted_upstream.url, sections=sections) as one:
        assert outcomes(one, STREAM) == ["miss"]
        with RunningGateway(tmp_path, scripted_upstream.url, sections=sections) as other:
            other.key = one.key
            one.wait(lambda: redis.Redis.from_url(redis_settings.url).keys(f"{redis_settings.prefix}*"))
            assert outcomes(other, STREAM) == ["hit"]


def test_off_says_nothing_and_keeps_nothing(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    with RunningGateway(tmp_path, scripted_upstream.url) as gateway:
        for _ in range(2):
            assert "x-sluice-cache" not in gateway.post(CHAT, headers={"x-sluice-cache": "nonsense"}).headers
    assert len(scripted_upstream.requests) == 2


# Which requests


@pytest.mark.parametrize(
    "changes",
    [{"temperature": 0.1}, {"temperature": None}, {"n": 2}, {"temperature": "0"}],
    ids=["warm", "unsaid", "several", "no number"],
)
def test_what_is_not_deterministic_passes_by(in_memory: RunningGateway, changes: dict[str, Any]) -> None:
    body = CHAT | changes
    assert outcomes(in_memory, body, body) == ["bypass", "bypass"]


def test_a_client_may_ask(in_memory: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    warm = CHAT | {"temperature": 1.0}
    assert outcomes(in_memory, warm, warm, headers={"x-sluice-cache": "use"}) == ["miss", "hit"]
    assert outcomes(in_memory, warm) == ["bypass"]  # who does not ask gets an answer of its own
    assert len(scripted_upstream.requests) == 2


def test_a_client_may_refuse_and_renew(in_memory: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(*(Behaviour(content=(word,)) for word in ("one", "two", "three")))

    def said(wish: str | None = None) -> tuple[str, str]:
        response = in_memory.post(CHAT, headers={"x-sluice-cache": wish} if wish else None)
        return outcome(response), response.json()["choices"][0]["message"]["content"]

    assert said() == ("miss", "one")
    assert said("bypass") == ("bypass", "two")
    assert said() == ("hit", "one")
    assert said("refresh") == ("miss", "three")
    assert said() == ("hit", "three")


def test_only_those_who_ask_where_the_settings_say_so(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    sections = {"cache": {"enabled": True, "deterministic": False}}
    with RunningGateway(tmp_path, scripted_upstream.url, sections=sections) as gateway:
        assert outcomes(gateway, CHAT) == ["bypass"]
        assert outcomes(gateway, CHAT, CHAT, headers={"x-sluice-cache": "use"}) == ["miss", "hit"]


@pytest.mark.parametrize("value", ["yes", "use, bypass", ""])
def test_a_header_that_says_something_else_is_refused(in_memory: RunningGateway, value: str) -> None:
    refused = in_memory.post(CHAT, headers={"x-sluice-cache": value})
    assert refused.status_code == 400
    assert "'use', 'refresh' or 'bypass'" in refused.json()["error"]["message"]


def test_a_header_sent_twice_is_refused(in_memory: RunningGateway) -> None:
    body = json.dumps(CHAT).encode()
    head = in_memory.head(len(body)).removesuffix(b"\r\n")
    with in_memory.connect() as client:
        client.sendall(head + b"x-sluice-cache: bypass\r\nx-sluice-cache: use\r\nconnection: close\r\n\r\n" + body)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_an_upstream_cannot_say_it_was_a_hit(in_memory: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(headers=[("x-sluice-cache", "hit")]))
    assert in_memory.post(CHAT).headers.get_list("x-sluice-cache") == ["miss"]


# Who shares with whom


def test_no_key_gets_what_another_asked_for(gateway: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    assert outcomes(gateway, CHAT, STREAM) == ["miss", "miss"]
    gateway.key = create_key(gateway.engine, owner="tester")[1]  # of the same person, even
    assert outcomes(gateway, CHAT, STREAM) == ["miss", "miss"]
    assert len(scripted_upstream.requests) == 4


def test_the_body_counts_to_the_last_byte(in_memory: RunningGateway) -> None:
    body = json.dumps(CHAT).encode()
    variants = [body, body + b" ", body.replace(b"Hello?", b"Hello!"), json.dumps(CHAT | {"seed": 1}).encode()]
    assert [outcome(in_memory.post(one)) for one in variants] == ["miss"] * 4
    assert [outcome(in_memory.post(one)) for one in variants] == ["hit"] * 4


def test_two_names_of_one_model_are_two(in_memory: RunningGateway) -> None:
    assert outcomes(in_memory, CHAT, CHAT | {"model": "alias"}) == ["miss", "miss"]


def test_a_route_that_leads_elsewhere_finds_nothing(
    tmp_path: Path, scripted_upstream: ScriptedUpstream, redis_settings: RedisSettings
) -> None:
    sections = {"cache": {"enabled": True, "store": "redis"}, "redis": redis_settings.model_dump()}
    with RunningGateway(tmp_path, scripted_upstream.url, sections=sections) as gateway:
        assert outcomes(gateway, CHAT, CHAT) == ["miss", "hit"]
        key = gateway.key
    with ScriptedUpstream() as elsewhere, RunningGateway(tmp_path, elsewhere.url, sections=sections) as gateway:
        gateway.key = key
        assert outcomes(gateway, CHAT) == ["miss"]


# What is not kept


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["plain", "stream"])
@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(status=500, body=error_body("broken", status=500)),
        Behaviour(status=400, body=error_body("wrong")),
        Behaviour(body={"choices": []}),
        Behaviour(body={"error": {"message": "all is lost"}}),
        Behaviour(stop_at="in_body"),
    ],
    ids=["500", "400", "no usage", "error as 200", "broken off"],
)
def test_failures_are_not_kept(
    in_memory: RunningGateway, scripted_upstream: ScriptedUpstream, body: dict[str, Any], behaviour: Behaviour
) -> None:
    scripted_upstream.next(behaviour)
    with suppress(httpx.RemoteProtocolError):  # the stream broke off
        in_memory.post(body)
    assert outcomes(in_memory, body, body) == ["miss", "hit"]


def test_a_stream_that_ends_in_an_error_is_not_kept(
    in_memory: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(error_event_after=2))
    assert in_memory.post(STREAM).content.endswith(b"data: [DONE]\n\n")
    assert outcomes(in_memory, STREAM, STREAM) == ["miss", "hit"]


def test_what_is_too_long_is_not_kept(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    sections = {"cache": {"enabled": True, "entry_bytes": 1000}}
    with RunningGateway(tmp_path, scripted_upstream.url, sections=sections) as gateway:
        scripted_upstream.next(*[Behaviour(content=("x" * 2000,))] * 2)
        assert outcomes(gateway, CHAT, CHAT) == ["miss", "miss"]
        scripted_upstream.next(*[Behaviour(content=("x" * 100,) * 20)] * 2)
        assert outcomes(gateway, STREAM, STREAM) == ["miss", "miss"]
        assert outcomes(gateway, CHAT, CHAT) == ["miss", "hit"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_a_budget_limited_is_not_kept(
    tmp_path: Path, scripted_upstream: ScriptedUpstream, stream: bool
) -> None:
    body = CHAT | {"max_tokens": 5_000, "stream": stream}
    with RunningGateway(tmp_path, scripted_upstream.url, sections={"cache": {"enabled": True}}) as gateway:
        gateway.key = create_key(gateway.engine, owner="x", budgets={"day": 1_000})[1]
        first = gateway.post(body)
        assert first.headers["x-sluice-budget"].startswith("limited")
        assert outcomes(gateway, body) == ["miss"]


def test_a_hit_needs_no_budget(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    body = CHAT | {"max_tokens": 10}
    with RunningGateway(tmp_path, scripted_upstream.url, sections={"cache": {"enabled": True}}) as gateway:
        gateway.key = create_key(gateway.engine, owner="x", budgets={"ever": 250})[1]
        scripted_upstream.next(Behaviour(body=answer_of(245)))
        assert outcomes(gateway, body, body) == ["miss", "hit"]
        assert gateway.post(body | {"seed": 1}).status_code == 429


def answer_of(tokens: int) -> dict[str, Any]:
    choices = [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]
    return {"choices": choices, "usage": {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}}


def test_an_answer_that_its_lease_may_have_cut_is_not_kept(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    """A budget's default limit of an answer, where neither request nor model has one."""
    choices = [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "length"}]
    long = {"choices": choices, "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
    scripted_upstream.default = Behaviour(body=long)
    with RunningGateway(tmp_path, scripted_upstream.url, sections={"cache": {"enabled": True}}) as gateway:
        assert outcomes(gateway, CHAT, CHAT) == ["miss", "hit"]  # the model's own end
        gateway.key = create_key(gateway.engine, owner="x", budgets={"day": 1_000_000})[1]
        assert outcomes(gateway, CHAT, CHAT) == ["miss", "miss"]
        bounded = CHAT | {"max_tokens": 1}
        assert outcomes(gateway, bounded, bounded) == ["miss", "hit"]


# Guardrails


def test_a_policy_is_part_of_the_request(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    policies = {"in": {"input": {"pii": "redact"}}, "out": {"output": {"pii": "redact"}}}
    sections = {"cache": {"enabled": True}, "guardrails": {"policies": policies, "default": "in"}}
    with RunningGateway(tmp_path, scripted_upstream.url, sections=sections) as gateway:
        mail = CHAT | {"messages": [{"role": "user", "content": "I am ada@example.org"}]}
        other = CHAT | {"messages": [{"role": "user", "content": "I am bob@example.org"}]}
        assert outcomes(gateway, mail, mail) == ["miss", "hit"]
        assert outcomes(gateway, other) == ["hit"]  # the model sees no difference
        gateway.key = create_key(gateway.engine, owner="x", policy="out")[1]
        for body in (CHAT, STREAM):
            leak = body | {"seed": 1}
            scripted_upstream.next(*[Behaviour(content=("I", " am", " ada@example.org", "."))] * 2)
            assert outcomes(gateway, leak, leak) == ["miss", "miss"]  # decided, and audited, each time
            assert outcomes(gateway, body, body) == ["miss", "hit"]
            assert b"@example" not in gateway.post(body).content


# Identical requests at one time


def together(gateway: RunningGateway, upstream: ScriptedUpstream, body: dict[str, Any], others: int) -> Any:
    """A leader and so many others that wait for it."""
    pool = ThreadPoolExecutor(others + 1)
    leader = pool.submit(gateway.post, body)
    upstream.wait_until(lambda: len(upstream.requests) == 1)
    following = [pool.submit(gateway.post, body) for _ in range(others)]
    gateway.wait(lambda: len(gateway.application.traffic.open) == others + 1)
    [flight] = gateway.application.traffic._cache._flights._flights.values()
    gateway.wait(lambda: len(flight._waiting) == others)
    pool.shutdown(wait=False)
    return leader, following


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["plain", "stream"])
def test_one_goes_upstream_for_all(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, body: dict[str, Any]
) -> None:
    go_on = threading.Event()
    scripted_upstream.next(Behaviour(framing="chunked", go_on=go_on))
    leader, others = together(gateway, scripted_upstream, body, 5)
    go_on.set()
    first = leader.result(60)
    answers = [other.result(60) for other in others]
    assert outcome(first) == "miss"
    assert [outcome(answer) for answer in answers] == ["shared"] * 5
    assert {answer.content for answer in answers} == {first.content}
    assert len(scripted_upstream.requests) == 1
    assert sum(record.charged_tokens > 0 for record in gateway.usage(6)) == 1


def test_where_the_first_fails_each_goes_on_by_itself(
    in_memory: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    go_on = threading.Event()
    scripted_upstream.next(Behaviour(status=500, body=error_body("broken", status=500), framing="chunked", go_on=go_on))
    leader, others = together(in_memory, scripted_upstream, CHAT, 3)
    go_on.set()
    assert leader.result(60).status_code == 500
    assert [outcome(other.result(60)) for other in others] == ["miss"] * 3
    assert len(scripted_upstream.requests) == 4


@pytest.mark.parametrize("stream", [False, True])
def test_where_the_first_leaves_another_takes_over(
    in_memory: RunningGateway, scripted_upstream: ScriptedUpstream, stream: bool
) -> None:
    body = json.dumps(CHAT | {"stream": stream}).encode()
    go_on = threading.Event()
    scripted_upstream.next(
        Behaviour(framing="chunked", go_on=threading.Event()), Behaviour(framing="chunked", go_on=go_on)
    )
    with in_memory.connect() as leader:
        leader.sendall(in_memory.head(len(body)) + body)
        scripted_upstream.wait_until(lambda: len(scripted_upstream.requests) == 1)
        with ThreadPoolExecutor(3) as pool:
            others = [pool.submit(in_memory.post, body) for _ in range(3)]
            [flight] = in_memory.application.traffic._cache._flights._flights.values()
            in_memory.wait(lambda: len(flight._waiting) == 3)
            leader.close()
            scripted_upstream.wait_until(lambda: len(scripted_upstream.requests) == 2)
            go_on.set()
            answers = [other.result(60) for other in others]
    assert sorted(outcome(answer) for answer in answers) == ["miss", "shared", "shared"]
    assert len({answer.content for answer in answers}) == 1
    assert len(scripted_upstream.requests) == 2


def test_an_upstream_that_breaks_off_leaves_nobody_waiting(
    in_memory: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(stop_at=0, stop="stall"))
    leader, others = together(in_memory, scripted_upstream, CHAT, 2)
    scripted_upstream.drop_connections()
    assert leader.result(60).status_code == 502
    assert [other.result(60).status_code for other in others] == [200, 200]


def test_nobody_waits_longer_than_the_settings_say(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    go_on = threading.Event()
    scripted_upstream.next(Behaviour(framing="chunked", go_on=go_on))
    sections = {"cache": {"enabled": True, "wait_seconds": 0.05}}
    with (
        RunningGateway(tmp_path, scripted_upstream.url, sections=sections) as gateway,
        ThreadPoolExecutor(1) as pool,
    ):
        leader = pool.submit(gateway.post, CHAT)
        scripted_upstream.wait_until(lambda: len(scripted_upstream.requests) == 1)
        assert outcome(gateway.post(CHAT)) == "miss"
        go_on.set()
        assert outcome(leader.result(60)) == "miss"


def test_what_grows_too_long_is_waited_for_no_longer(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    go_on = threading.Event()
    events = [b'data: {"choices":[],"x":"%b"}\n\n' % (b"x" * 2000), b"data: [DONE]\n\n"]
    scripted_upstream.next(Behaviour(events=[*events[:1], *events], go_on=go_on))
    sections = {"cache": {"enabled": True, "entry_bytes": 1000}}
    with (
        RunningGateway(tmp_path, scripted_upstream.url, sections=sections) as gateway,
        ThreadPoolExecutor(1) as pool,
    ):
        leader = pool.submit(gateway.post, STREAM)
        gateway.wait(lambda: scripted_upstream.answer_bytes > 2000)
        gateway.wait(lambda: not len(gateway.application.traffic._cache._flights))
        assert outcome(gateway.post(STREAM)) == "miss"  # while the first is still being answered
        go_on.set()
        assert leader.result(60).status_code == 200


# When Redis is lost


def test_without_redis_every_request_misses_and_is_answered(
    tmp_path: Path, scripted_upstream: ScriptedUpstream
) -> None:
    sections = {"cache": {"enabled": True, "store": "redis"}, "redis": {"url": "redis://127.0.0.1:1"}}
    with RunningGateway(tmp_path, scripted_upstream.url, sections=sections) as gateway:
        assert outcomes(gateway, CHAT, CHAT) == ["miss", "miss"]
        metrics = httpx.get(f"{gateway.origin}/metrics", trust_env=False).text
    assert "sluice_cache_miss 2.0" in metrics
    assert "sluice_cache_failures 1.0" in metrics
