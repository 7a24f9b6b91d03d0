"""A stream says what the plain answer says: same text, finish reason, logprobs and usage, for any kind of request."""

from typing import Any

import openai
import pytest

from tests.end_to_end.answers import CITY_FORMAT, USAGE, ask, joined, request, whole

REQUESTS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0},
    "greedy, letters of several bytes": {
        "temperature": 0,
        "messages": [{"role": "user", "content": "Répète: é 🌊 水"}],
    },
    "greedy, with a system message and a history": {
        "temperature": 0,
        "messages": [
            {"role": "system", "content": "You answer briefly."},
            {"role": "user", "content": "My name is Ada."},
            {"role": "assistant", "content": "Hello Ada."},
            {"role": "user", "content": "What is my name?"},
        ],
    },
    "sampled": {"temperature": 0.8, "seed": 7},
    "sampled, another prompt": {"temperature": 0.8, "seed": 11, "messages": [{"role": "user", "content": "A story!"}]},
    "cut by max_tokens": {"temperature": 0, "max_tokens": 3},
    "ended by a stop string": {"temperature": 0, "stop": [" is", "Rome"]},
    "two choices": {"temperature": 0.8, "seed": 3, "n": 2},
    "logprobs": {"temperature": 0, "logprobs": True, "top_logprobs": 2, "max_tokens": 6},
    "a schema": {"temperature": 0, "response_format": CITY_FORMAT, "max_tokens": 60},
}


@pytest.mark.parametrize("options", REQUESTS.values(), ids=REQUESTS)
def test_streamed_is_the_same_as_not_streamed(client: openai.OpenAI, options: dict[str, Any]) -> None:
    plain = ask(client, **options)
    streamed = joined(client.chat.completions.create(**request(**options), **USAGE))
    assert plain.text
    assert streamed == plain


@pytest.mark.parametrize("name", ["greedy", "sampled", "two choices", "a schema"])
async def test_the_asynchronous_client_gets_the_same(
    client: openai.OpenAI, async_client: openai.AsyncOpenAI, name: str
) -> None:
    body = request(**REQUESTS[name])
    plain = whole(await async_client.chat.completions.create(**body))
    stream = await async_client.chat.completions.create(**body, **USAGE)
    assert joined([chunk async for chunk in stream]) == plain == whole(client.chat.completions.create(**body))


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}], ids=["absent", "false"])
def test_without_the_wish_a_stream_says_nothing_about_usage(client: openai.OpenAI, options: dict[str, Any]) -> None:
    chunks = list(client.chat.completions.create(**request(stream=True, **options)))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_with_the_wish_usage_comes_in_one_last_chunk(client: openai.OpenAI) -> None:
    *others, last = client.chat.completions.create(**request(), **USAGE)
    assert last.usage
    assert last.choices == []
    assert all(chunk.usage is None for chunk in others)
