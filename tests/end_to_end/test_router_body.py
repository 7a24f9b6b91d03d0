"""What the real vllm-router changes in a request's body, before two scripted replicas."""

import json
from typing import Any, cast

import openai
import pytest

from tests.end_to_end.router_chain import Chain


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


LOST = {
    "stream_options": {"continuous_usage_stats": True},
    "messages": [{"role": "tool", "content": "x", "tool_call_id": "c", "name": "f"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "description": "d"}},
}


def test_what_the_router_does_not_know_within_known_objects_is_lost(chain: Chain) -> None:
    chain.client.chat.completions.create(model="m", stream=True, **cast(Any, LOST)).close()
    received = chain.router.only_chat().json
    assert received["stream_options"] == {"include_usage": True}
    assert received["messages"] == [{"role": "tool", "content": "x", "tool_call_id": "c"}]
    assert received["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    assert received["response_format"]["json_schema"] == {"name": "n", "schema": {}}


def test_an_assistants_reasoning_passes_under_its_newer_name(chain: Chain) -> None:
    said = {"role": "assistant", "content": "x"}
    chain.client.chat.completions.create(
        model="m", messages=cast(Any, [said | {"reasoning_content": "r"}, said | {"reasoning": "r"}])
    )
    assert chain.router.only_chat().json["messages"] == [said | {"reasoning": "r"}] * 2


def test_parts_of_a_message_pass_as_sent(chain: Chain) -> None:
    parts = [
        {"type": "text", "text": "t", "unknown": 1},
        {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}, "uuid": "u"},
        {"type": "video_url", "video_url": {"url": "x"}},
    ]
    chain.client.chat.completions.create(model="m", messages=cast(Any, [{"role": "user", "content": parts}]))
    assert chain.router.only_chat().json["messages"][0]["content"] == parts


def test_of_embeddings_only_openais_fields_pass(chain: Chain) -> None:
    chain.client.embeddings.create(
        model="m", input="x", dimensions=3, encoding_format="float", extra_body={"truncate_prompt_tokens": 5}
    )
    requests = chain.router.replicas[0].requests + chain.router.replicas[1].requests
    [received] = [request.json for request in requests if request.path == "/v1/embeddings"]
    assert received == {"model": "m", "input": "x", "dimensions": 3, "encoding_format": "float"}


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].function.parameters"),
        ({"function_call": "auto"}, "function_call"),
        ({"deep": json.loads("[" * 200 + "]" * 200)}, None),
    ],
    ids=str,
)
def test_what_the_router_itself_refuses_is_told_as_by_the_engine(
    chain: Chain, wrong: dict[str, Any], param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        chain.ask("wrong", extra_body=wrong)
    assert refusal.value.param == param
    assert "Failed to" not in refusal.value.message
    assert chain.router.chats() == [[], []]
