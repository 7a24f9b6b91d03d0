"""The real vllm-router between the gateway and two replicas, which are scripted: what it does, and what it changes."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest

from tests.doubles.openai_answers import CONTENT
from tests.doubles.scripted_upstream import error_body
from tests.end_to_end.router_chain import Chain, Router, chain_over, running_router


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """One router for the tests that leave its replicas alive."""
    with running_router(tmp_path_factory.mktemp("router")) as router:
        yield router


@pytest.fixture
def chain(router: Router, tmp_path: Path) -> Iterator[Chain]:
    with chain_over(router, tmp_path) as chain:
        yield chain


@pytest.fixture
def chain_to_break(tmp_path: Path) -> Iterator[Chain]:
    """With a router of its own."""
    with running_router(tmp_path) as router, chain_over(router, tmp_path) as chain:
        yield chain


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
    for question in ("and one?", "and two?", "and three?", "and four?"):
        chain.ask("A long beginning that all these prompts share, and the replica has in its cache, " + question)
    assert sorted(map(len, chain.router.chats())) == [0, 4]


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


def test_a_stopped_replica_is_not_noticed_by_clients(chain_to_break: Chain) -> None:
    ask_all = [f"{number} before the stop" for number in range(4)]
    for question in ask_all:
        chain_to_break.ask(question)
    stopped = max(chain_to_break.router.replicas, key=lambda replica: len(replica.requests))
    stopped.stop_listening()
    stopped.drop_connections()
    for question in [*ask_all, *ask_all]:
        assert chain_to_break.ask(question).choices[0].message.content == "".join(CONTENT)


def test_a_replica_that_dies_mid_stream_ends_it_with_an_error(chain_to_break: Chain) -> None:
    chain_to_break.router.next(content=["word "] * 5000, chunk_delay=0.05)
    stream = chain_to_break.ask("dying", stream=True)
    next(stream)
    chain_to_break.router.drop_connections()
    with pytest.raises(openai.APIError) as failure:
        list(stream)
    assert failure.value.code == "upstream_failed"
    assert chain_to_break.gateway.usage(1)[0].error == "upstream_failed"


def test_without_any_replica_the_client_gets_an_error(chain_to_break: Chain) -> None:
    for replica in chain_to_break.router.replicas:
        replica.stop_listening()
    chain_to_break.router.drop_connections()
    with pytest.raises(openai.InternalServerError):
        chain_to_break.ask("nobody is there")


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_by_the_replica_comes_through(chain: Chain, status: int) -> None:
    chain.router.next(status=status, body=error_body("not like this", status=status, param="top_k"))
    with pytest.raises(openai.APIStatusError, match="not like this") as refusal:
        chain.ask("refused")
    assert (refusal.value.status_code, refusal.value.param) == (status, "top_k")


def test_refusals_do_not_take_a_replica_out(chain: Chain) -> None:
    for _ in range(4):
        chain.router.next(status=400, body=error_body("not like this"))
        with pytest.raises(openai.BadRequestError):
            chain.ask("the same prompt")
    chain.ask("the same prompt")
    assert sorted(map(len, chain.router.chats())) == [0, 5]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_of_a_replica_is_tried_again_by_the_router(chain: Chain, status: int) -> None:
    chain.router.next(status=status, body=error_body("busy", status=status))
    answer = chain.ask("busy")
    assert answer.choices[0].message.content == "".join(CONTENT)
    assert sorted(map(len, chain.router.chats())) in ([0, 2], [1, 2])


def test_fields_of_openai_and_of_vllm_and_unknown_ones_reach_the_replica_as_sent(chain: Chain) -> None:
    sent = {
        "temperature": 0.1,
        "seed": 7,
        "stop": ["a", "b"],
        "n": 2,
        "logit_bias": {"5": -1.5},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"z": {}, "a": {}}}},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"z": 1, "a": 2}}}],
        "top_k": 5,
        "min_tokens": 3,
        "repetition_penalty": 1.1,
        "structured_outputs": {"choice": ["x"]},
        "chat_template_kwargs": {"thinking": False},
        "known_to_nobody": {"deep": [1, None, "ü"]},
    }
    chain.ask("fields", extra_body=sent)
    received = chain.router.only_chat().json
    assert {name: received[name] for name in sent} == sent
    assert json.dumps(received["response_format"]) == json.dumps(sent["response_format"]), "properties keep their order"


def test_the_router_adds_defaults_of_its_own_to_the_body(chain: Chain) -> None:
    chain.ask("defaults")
    assert set(chain.router.only_chat().json) - {"model", "messages"} == {
        "stream",
        "logprobs",
        "no_stop_trim",
        "ignore_eos",
        "continue_final_message",
        "skip_special_tokens",
        "separate_reasoning",
        "stream_reasoning",
        "return_hidden_states",
        "include_reasoning",
    }


def test_a_wrong_type_is_refused_by_the_router_itself_without_param(chain: Chain) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="temperature: invalid type") as refusal:
        chain.ask("wrong", extra_body={"temperature": "hot"})
    assert refusal.value.param is None, "the engine alone would have said 400 and which field"
    assert chain.router.chats() == [[], []]


def test_the_requests_id_reaches_the_replica_but_not_the_clients_key(chain: Chain) -> None:
    answer = chain.client.chat.completions.with_raw_response.create(
        model="m", messages=[{"role": "user", "content": "headers"}]
    )
    received = chain.router.only_chat()
    assert received.header("x-request-id") == answer.headers["x-request-id"]
    assert received.header("authorization") is None
