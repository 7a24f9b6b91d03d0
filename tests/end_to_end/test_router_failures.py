"""The real vllm-router before two scripted replicas that fail: what clients see, and what is asked for again."""

from pathlib import Path

import openai
import pytest

from tests.doubles.openai_answers import CONTENT
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body
from tests.end_to_end.router_chain import CHAT, Chain, chain_over, running_router


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
    assert sum(map(len, chain_to_break.router.chats())) == 1, "what a client has begun to read is not asked for again"


def test_without_any_replica_the_client_is_told_to_come_again(chain_to_break: Chain) -> None:
    for replica in chain_to_break.router.replicas:
        replica.stop_listening()
    chain_to_break.router.drop_connections()
    with pytest.raises(openai.InternalServerError, match="cannot be reached, or broke off"):
        chain_to_break.ask("nobody is there")
    with pytest.raises(openai.InternalServerError, match="No replica of the model can answer") as failure:
        chain_to_break.ask("the breakers are open by now")
    assert (failure.value.status_code, failure.value.code) == (503, "no_replica")
    assert failure.value.response.headers["retry-after"] == "5"


@pytest.mark.parametrize("stop_at", [0, "in_head", "in_body"])
def test_a_plain_answer_that_breaks_off_is_asked_for_again(chain: Chain, stop_at: int | str) -> None:
    chain.router.next(stop_at=stop_at)
    assert chain.ask("broken off").choices[0].message.content == "".join(CONTENT)
    assert sum(map(len, chain.router.chats())) in (2, 3)


def test_with_one_attempt_nothing_is_asked_for_again_and_no_address_is_told(tmp_path: Path) -> None:
    retries = {"attempts": 1}
    with running_router(tmp_path, retries=retries) as router, chain_over(router, tmp_path) as chain:
        router.next(stop_at=0)
        with pytest.raises(openai.InternalServerError, match="cannot be reached, or broke off") as failure:
            chain.ask("broken off")
        assert (failure.value.status_code, failure.value.code) == (502, "upstream_failed")
        assert "127.0.0.1" not in failure.value.message
        assert sum(map(len, router.chats())) == 1


def test_a_replica_that_fails_gets_no_requests_until_it_is_tried_again(tmp_path: Path) -> None:
    settings = {"policy": "round_robin", "circuit_breaker": {"failures": 1, "successes": 1, "open_seconds": 2}}
    with running_router(tmp_path, **settings) as router, chain_over(router, tmp_path) as chain:
        failing, well = router.replicas
        failing.default = Behaviour(status=500, body=error_body("broken", status=500))
        for number in range(6):
            chain.ask(f"question {number}")
        assert len(router.chats()[0]) <= 2
        failing.default = Behaviour()
        failing.forget()

        def is_back() -> bool:
            chain.ask("is it back?")
            return bool(router.chats()[0])

        chain.gateway.wait(is_back)
        well.forget()
        failing.forget()
        for number in range(4):
            chain.ask(f"question {number}")
        assert list(map(len, router.chats())) == [2, 2]


def test_a_replica_that_comes_back_gets_requests_again(tmp_path: Path) -> None:
    settings = {"policy": "round_robin", "health_check_seconds": 1, "circuit_breaker": {"open_seconds": 1}}
    with running_router(tmp_path, **settings) as router, chain_over(router, tmp_path) as chain:
        gone = router.replicas[0]
        gone.stop_listening()
        gone.drop_connections()
        for number in range(4):
            chain.ask(f"{number} while one is gone")
        with ScriptedUpstream(port=gone.port) as back:

            def is_back() -> bool:
                chain.ask("is it back?")
                return any(request.path == CHAT for request in back.requests)

            chain.gateway.wait(is_back)


def test_an_answer_that_takes_too_long_is_ended_also_in_the_middle(tmp_path: Path) -> None:
    with running_router(tmp_path, request_timeout_seconds=1) as router, chain_over(router, tmp_path) as chain:
        router.next(content=["word "] * 5000, chunk_delay=0.05)
        with pytest.raises(openai.APIError) as failure:
            list(chain.ask("long", stream=True))
        assert failure.value.code == "upstream_failed"


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


def test_a_request_on_which_every_replica_fails_takes_only_one_of_them_out(chain_to_break: Chain) -> None:
    """Else one such request would leave nobody for the others."""
    poison = {"scripted": {"status": 500, "body": error_body("the engine failed on this", status=500)}}
    with pytest.raises(openai.InternalServerError, match="the engine failed on this"):
        chain_to_break.ask("poison", extra_body=poison)
    assert sum(map(len, chain_to_break.router.chats())) == 5
    for number in range(4):
        assert chain_to_break.ask(f"{number} afterwards").choices[0].message.content == "".join(CONTENT)
