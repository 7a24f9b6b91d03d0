"""Chat with the real model through the official client: what it is asked for it gives, and errors are OpenAI's."""

import json
import re
from typing import Any

import openai
import pytest

from tests.end_to_end.answers import CITY, CITY_FORMAT, USAGE, ask, joined, request, whole
from tests.end_to_end.running_platform import CHAT_MODEL, EMBEDDING_MODEL


def test_the_model_knows_the_capital(client: openai.OpenAI) -> None:
    answer = ask(client)
    assert (answer.text, answer.finish_reason) == ("The capital of France is Paris.", "stop")


def test_max_tokens_cuts_with_length(client: openai.OpenAI) -> None:
    answer = ask(client, max_tokens=3)
    assert answer.finish_reason == "length"
    assert answer.usage
    assert answer.usage[1] == 3


def test_a_stop_string_ends_before_itself(client: openai.OpenAI) -> None:
    answer = ask(client, stop=" is")
    assert (answer.text, answer.finish_reason) == ("The capital of France", "stop")


def test_n_gives_that_many_different_choices(client: openai.OpenAI) -> None:
    answer = ask(client, n=2, temperature=0.8, seed=3)
    assert list(answer.choices) == [0, 1]
    assert answer.choices[0].text != answer.choices[1].text


def test_another_seed_gives_another_text(client: openai.OpenAI) -> None:
    assert ask(client, temperature=1.5, seed=1).text != ask(client, temperature=1.5, seed=2).text


def test_logprobs_name_the_chosen_token_first(client: openai.OpenAI) -> None:
    tokens = ask(client, logprobs=True, top_logprobs=2, max_tokens=4).choices[0].logprobs
    assert "".join(token for token, _, _ in tokens) == "The capital of France"
    assert all(top == max(likeliest.values()) for _, top, likeliest in tokens)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_schema_is_obeyed(client: openai.OpenAI, streamed: bool) -> None:
    body = request(response_format=CITY_FORMAT, max_tokens=60)
    if streamed:
        answer = joined(client.chat.completions.create(**body, stream=True))
    else:
        answer = whole(client.chat.completions.create(**body))
    parsed = json.loads(answer.text)
    assert parsed["city"] == "Paris"
    assert set(parsed) == {"city", "rivers"}
    assert isinstance(parsed["rivers"], int)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"choice": ["bread-7", "wine-9"]}, r"bread-7|wine-9"),
        ({"regex": r"[0-9]{4}-[0-9]{2}"}, r"\d{4}-\d{2}"),
        ({"grammar": 'root ::= "yes" | "no"'}, r"yes|no"),
        ({"json": CITY}, r"\{\s*\"city\".*\}"),
    ],
    ids=["choice", "regex", "grammar", "json"],
)
def test_structured_outputs_of_vllm_are_obeyed(client: openai.OpenAI, field: dict[str, Any], expected: str) -> None:
    answer = ask(client, extra_body={"structured_outputs": field}, max_tokens=60)
    assert re.fullmatch(expected, answer.text, re.DOTALL)


def test_top_k_of_one_is_greedy_at_any_temperature(client: openai.OpenAI) -> None:
    assert ask(client, temperature=2, extra_body={"top_k": 1}).text == ask(client).text


def test_min_tokens_goes_beyond_the_models_own_end(client: openai.OpenAI) -> None:
    assert ask(client).finish_reason == "stop"
    longer = ask(client, extra_body={"min_tokens": 16})
    assert longer.usage
    assert (longer.finish_reason, longer.usage[1]) == ("length", 16)


def test_repetition_penalty_changes_what_is_said(client: openai.OpenAI) -> None:
    assert ask(client, extra_body={"repetition_penalty": 1.8}).text != ask(client).text


WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_tools_are_passed_on(client: openai.OpenAI) -> None:
    """This model never sees them, as its template leaves tools out; that they are judged shows that they arrive."""
    assert ask(client, tools=[WEATHER]).text
    with pytest.raises(openai.BadRequestError):
        ask(client, tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "unknown"}})


def test_a_tool_that_must_be_called_is_called(client: openai.OpenAI) -> None:
    forced = {"type": "function", "function": {"name": "weather"}}
    body = request(tools=[WEATHER], tool_choice=forced, max_tokens=100)
    [call] = client.chat.completions.create(**body).choices[0].message.tool_calls or []
    chunks = client.chat.completions.create(**body, stream=True)
    deltas = [delta for chunk in chunks for choice in chunk.choices for delta in choice.delta.tool_calls or []]
    assert call.type == "function"
    assert call.function.name == "weather"
    assert "".join(delta.function.name or "" for delta in deltas if delta.function) == "weather"
    arguments = "".join(delta.function.arguments or "" for delta in deltas if delta.function)
    assert arguments == call.function.arguments


def test_a_context_that_is_too_long_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="2048") as refusal:
        ask(client, messages=[{"role": "user", "content": "word " * 3000}])
    assert refusal.value.code == "context_length_exceeded"


@pytest.mark.parametrize("streamed", [False, True])
def test_an_unknown_model_is_not_found(client: openai.OpenAI, streamed: bool) -> None:
    with pytest.raises(openai.NotFoundError, match="'nobody'") as refusal:
        ask(client, model="nobody", stream=streamed)
    assert (refusal.value.code, refusal.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("field", "value"), [("temperature", "hot"), ("messages", "hello"), ("temperature", 9), ("max_tokens", "many")]
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_wrong_value_is_refused_with_its_field(client: openai.OpenAI, field: str, value: Any, streamed: bool) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        ask(client, stream=streamed, extra_body={field: value})
    assert refusal.value.param == field
    assert refusal.value.type == "invalid_request_error"


def test_an_embedding_model_does_not_chat(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="makes embeddings") as refusal:
        ask(client, model=EMBEDDING_MODEL)
    assert refusal.value.param == "model"


def test_completions_continue_a_prompt_streamed_or_not(client: openai.OpenAI) -> None:
    body: Any = {"model": CHAT_MODEL, "prompt": "The capital of France is", "temperature": 0, "max_tokens": 8}
    plain = client.completions.create(**body)
    chunks = list(client.completions.create(**body, **USAGE))
    assert "Paris" in plain.choices[0].text
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == plain.choices[0].text
    assert chunks[-1].usage == plain.usage
