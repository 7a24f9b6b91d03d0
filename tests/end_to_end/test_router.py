"""The real vllm-router between the gateway and two replicas, which are scripted: what passes, and to which of them."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sluice.models.router import kv_events_endpoint
from tests.doubles.openai_answers import CONTENT, token_ids
from tests.end_to_end.router_chain import Chain, chain_over, running_router
from tests.end_to_end.running_platform import REPOSITORY, engine_python

KV_PUBLISHER = REPOSITORY / "tests" / "doubles" / "kv_publisher.py"
"""Run by the engine's Python, which has ZeroMQ."""


def test_a_plain_answer_comes_whole_and_is_metered(chain: Chain) -> None:
    answer = chain.ask("plain")
    assert answer.choices[0].message.content == "".join(CONTENT)
    [record] = chain.gateway.usage(1)
    assert (record.prompt_tokens, record.completion_tokens) == (1, len(CONTENT))


def test_a_stream_comes_event_by_event_and_is_metered(chain: Chain) -> None:
    chunks = list(chain.ask("streamed", stream=True))
    assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content] == list(CONTENT)
    assert all(chunk.usage is None for chunk in chunks), "the usage event that only the gateway asked for stays hidden"
    [record] = chain.gateway.usage(1)
    assert record.streamed
    assert record.completion_tokens == len(CONTENT)


def test_both_replicas_get_work(chain: Chain) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: chain.ask(f"{number} is a number that begins the prompt"), range(24)))
    first, second = chain.router.chats()
    assert len(first) + len(second) == 24
    assert min(len(first), len(second)) >= 6


def test_prompts_that_begin_alike_go_to_one_replica(chain: Chain) -> None:
    prompts = [" ".join(f"{name}-{number}" for number in range(100)) for name in ("ada", "ben", "cleo", "dora")]
    chain.router.next(chunk_delay=0.5)  # open at the same time, they are spread over both
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(chain.ask, prompts))
    homes = [chain.router.answered_by(prompt) for prompt in prompts]
    assert {home for [home] in homes} == {0, 1}
    for question in ("and one?", "and two?"):
        for prompt in prompts:
            chain.ask(f"{prompt} {question}")
    assert [chain.router.answered_by(prompt) for prompt in prompts] == [home * 3 for home in homes]


def test_a_prompt_goes_where_the_engine_says_that_it_is_cached(tmp_path: Path) -> None:
    prompt = " ".join(f"word-{number}" for number in range(100))
    tokens = token_ids({"prompt": prompt})
    with running_router(tmp_path, policy="kv_aware") as router, chain_over(router, tmp_path) as chain:
        chain.ask(prompt)
        [first] = router.answered_by(prompt)
        endpoint = kv_events_endpoint(router.model.kv_event_ports[1 - first])
        command = [str(engine_python()), str(KV_PUBLISHER), endpoint, str(router.model.router.kv_block_size)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as publisher:
            assert publisher.stdin is not None
            assert publisher.stdout is not None
            assert publisher.stdout.readline() == "bound\n"

            def is_heard() -> bool:
                print(json.dumps(tokens), file=publisher.stdin, flush=True)
                chain.ask(prompt)
                return router.answered_by(prompt)[-1 if first == 0 else 0] != first

            chain.gateway.wait(is_heard)
            before = len(router.chats()[1 - first])
            for question in ("and one?", "and two?", "and three?"):
                chain.ask(f"{prompt} {question}")
            assert len(router.chats()[1 - first]) == before + 3
            publisher.stdin.close()


@pytest.mark.parametrize("policy", ["round_robin", "random", "power_of_two"])
def test_the_router_knows_every_policy(tmp_path: Path, policy: str) -> None:
    with running_router(tmp_path, policy=policy) as router, chain_over(router, tmp_path) as chain:
        for number in range(4):
            chain.ask(f"question {number}")
        assert sum(map(len, router.chats())) == 4
        if policy == "round_robin":
            assert list(map(len, router.chats())) == [2, 2]


@pytest.mark.parametrize("policy", ["consistent_hash", "sticky_least_loaded"])
def test_a_session_stays_on_one_replica(tmp_path: Path, policy: str) -> None:
    with running_router(tmp_path, policy=policy) as router, chain_over(router, tmp_path) as chain:
        for session in range(20):
            for question in range(2):
                chain.ask(f"session {session}, {question}", extra_headers={"x-session-id": f"session-{session}"})
        homes = [set(router.answered_by(f"session {session},")) for session in range(20)]
        assert all(len(home) == 1 for home in homes)
        assert {replica for home in homes for replica in home} == {0, 1}


def test_completions_and_embeddings_pass(chain: Chain) -> None:
    assert chain.client.completions.create(model="m", prompt="one two").usage.prompt_tokens == 2
    text = "".join(part.choices[0].text for part in chain.client.completions.create(model="m", prompt="x", stream=True))
    assert text == "".join(CONTENT)
    embeddings = chain.client.embeddings.create(model="m", input=["a", "b"], encoding_format="float").data
    assert [item.embedding for item in embeddings] == [[0.25, -0.5, 0.125]] * 2


def test_a_long_prompt_passes_whole(chain: Chain) -> None:
    prompt = "long " * 2_000_000
    chain.ask(prompt)
    assert chain.router.only_chat().json["messages"][0]["content"] == prompt


def test_a_clients_wish_for_usage_is_kept(chain: Chain) -> None:
    *_, last = chain.ask("usage", stream=True, stream_options={"include_usage": True})
    assert last.usage.completion_tokens == len(CONTENT)


def test_a_slow_replica_holds_up_nobody_else(chain: Chain) -> None:
    slow = chain.router.replicas[0]
    chain.router.next(content=["word "] * 5000, chunk_delay=0.05)
    with chain.ask("slow", stream=True) as stream:
        next(stream)
        chain.router.replicas[1]._script.clear()
        slow._script.clear()
        for number in range(4):
            assert chain.ask(f"{number} meanwhile").choices[0].message.content == "".join(CONTENT)


def test_a_client_that_leaves_reaches_the_replica(chain: Chain) -> None:
    chain.router.next(content=["word "] * 5000, chunk_delay=0.05)
    with chain.ask("leaving", stream=True) as stream:
        next(stream)
    chain.router.replicas[0].wait_until(lambda: chain.router.only_chat().disconnected)
    assert chain.gateway.usage(1)[0].status == 499


def test_a_client_that_leaves_before_the_answer_reaches_the_replica(chain: Chain) -> None:
    chain.router.next(head_delay=600)
    body = b'{"model": "m", "messages": [{"role": "user", "content": "leaving early"}]}'
    with chain.gateway.connect() as raw:
        raw.sendall(chain.gateway.head(len(body)) + body)
        chain.gateway.wait(lambda: any(chain.router.chats()))
    chain.router.replicas[0].wait_until(lambda: chain.router.only_chat().disconnected)


def test_the_requests_id_reaches_the_replica_but_not_the_clients_key(chain: Chain) -> None:
    answer = chain.client.chat.completions.with_raw_response.create(
        model="m", messages=[{"role": "user", "content": "headers"}]
    )
    received = chain.router.only_chat()
    assert received.header("x-request-id") == answer.headers["x-request-id"]
    assert received.header("authorization") is None


def test_traces_of_a_client_reach_the_replica(chain: Chain) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    chain.ask("traced", extra_headers={"traceparent": parent})
    assert chain.router.only_chat().header("traceparent") == parent


def test_the_routers_own_headers_stay_behind_the_gateway(chain: Chain) -> None:
    chain.router.next(headers=[("x-engine", "vllm"), ("set-cookie", "a=b")])
    answer = chain.client.chat.completions.with_raw_response.create(model="m", messages=[])
    assert not {"access-control-allow-origin", "x-engine", "set-cookie"} & set(answer.headers)


def test_its_metrics_tell_which_replica_is_well(chain: Chain) -> None:
    chain.ask("counted")
    told = chain.router.metrics()
    for port in chain.router.model.engine_ports:
        assert f'vllm_router_worker_health{{worker="http://127.0.0.1:{port}"}} 1' in told
    assert "vllm_router_processed_requests_total{" in told
