"""Several clients, clients that leave, and what is recorded of them."""

import asyncio
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.end_to_end.answers import USAGE, ask, joined, request, whole
from tests.end_to_end.running_platform import CHAT_MODEL, EMBEDDING_MODEL, RunningPlatform, wait_until


async def test_concurrent_requests_get_each_its_own_answer(async_client: openai.AsyncOpenAI) -> None:
    """Each may say one thing only, so that a mixed-up answer shows."""

    async def answer(number: int) -> str:
        body = request(extra_body={"structured_outputs": {"choice": [f"answer {number}"]}})
        if number % 2:
            return whole(await async_client.chat.completions.create(**body)).text
        stream = await async_client.chat.completions.create(**body, stream=True)
        return joined([chunk async for chunk in stream]).text

    assert await asyncio.gather(*map(answer, range(8))) == [f"answer {number}" for number in range(8)]


ENDLESS: dict[str, Any] = {"max_tokens": 1500, "extra_body": {"ignore_eos": True}}


def metric(platform: RunningPlatform, name: str) -> float:
    metrics = httpx.get(f"{platform.engine_url}/metrics", trust_env=False, timeout=60).text
    return float(next(line.split()[-1] for line in metrics.splitlines() if line.startswith(f"vllm:{name}{{")))


def running(platform: RunningPlatform) -> float:
    """How many requests the engine works on."""
    return metric(platform, "num_requests_running")


def written(platform: RunningPlatform) -> float:
    """How many tokens the engine has written."""
    return metric(platform, "generation_tokens_total")


def test_a_client_that_leaves_a_stream_frees_the_engine(platform: RunningPlatform, client: openai.OpenAI) -> None:
    before = written(platform)
    with client.chat.completions.create(**request(stream=True, **ENDLESS)) as stream:
        for _ in range(5):
            next(stream)
        wait_until(lambda: running(platform) == 1)
    wait_until(lambda: running(platform) == 0)
    assert 5 <= written(platform) - before < 1500


def test_a_client_that_gives_up_waiting_frees_the_engine(platform: RunningPlatform, client: openai.OpenAI) -> None:
    before = written(platform)
    with pytest.raises(openai.APITimeoutError):
        ask(client, timeout=1, **ENDLESS)
    wait_until(lambda: running(platform) == 0)
    assert written(platform) - before < 1500


def test_usage_records_are_what_the_client_saw(platform: RunningPlatform) -> None:
    key = platform.sluice("keys", "create", "--owner", "usage", "--quiet").stdout.strip()
    with openai.OpenAI(base_url=platform.base_url, api_key=key, max_retries=0) as client:
        plain = ask(client)
        streamed = joined(client.chat.completions.create(**request(temperature=0.8, seed=5), **USAGE))
        two = ask(client, n=2, temperature=1)
        silent: list[ChatCompletionChunk] = list(client.chat.completions.create(**request(stream=True)))
        embedded = client.embeddings.create(model=EMBEDDING_MODEL, input=["one", "two words"])
        with pytest.raises(openai.BadRequestError):
            ask(client, max_tokens="many")
    records = platform.usage(key.split("-")[2], 6)
    assert [(record.prompt_tokens, record.completion_tokens) for record in records] == [
        plain.usage,
        streamed.usage,
        two.usage,
        plain.usage,  # the same request, of which the client saw the text only
        (embedded.usage.prompt_tokens, 0),
        (0, 0),
    ]
    assert joined(silent).text == plain.text
    assert [record.streamed for record in records] == [False, True, False, True, False, False]
    assert [record.status for record in records] == [200, 200, 200, 200, 200, 400]
    assert {record.route for record in records} == {CHAT_MODEL, EMBEDDING_MODEL}
