"""Embeddings of the real model through the official client."""

import math
from typing import Any

import openai
import pytest

from tests.end_to_end.running_platform import CHAT_MODEL, EMBEDDING_MODEL

DIMENSIONS = 384


def embed(client: openai.OpenAI, texts: str | list[str], **options: Any) -> list[list[float]]:
    answer = client.embeddings.create(**{"model": EMBEDDING_MODEL, "input": texts} | options)
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return [item.embedding for item in answer.data]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / math.hypot(*one) / math.hypot(*other)


def test_what_means_the_same_lies_together(client: openai.OpenAI) -> None:
    king, queen, carburettor = embed(client, ["king", "queen", "carburettor"])
    assert cosine(king, queen) > cosine(king, carburettor) + 0.2


def test_vectors_have_the_models_dimensions_and_unit_length(client: openai.OpenAI) -> None:
    [vector] = embed(client, "one text")
    assert len(vector) == DIMENSIONS
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)


def test_a_list_gives_what_its_texts_give_alone(client: openai.OpenAI) -> None:
    texts = ["short", "a text of some more words than the first", "ünïcödé 🌊"]
    for together, text in zip(embed(client, texts), texts, strict=True):
        [alone] = embed(client, text)
        assert together == pytest.approx(alone, abs=1e-5)


def test_base64_says_the_same_as_float(client: openai.OpenAI) -> None:
    """Without a format given, the official client asks for base64 and decodes it."""
    [decoded] = embed(client, "the same")
    [floats] = embed(client, "the same", encoding_format="float")
    assert decoded == pytest.approx(floats, abs=1e-7)


async def test_the_asynchronous_client_gets_the_same(client: openai.OpenAI, async_client: openai.AsyncOpenAI) -> None:
    answer = await async_client.embeddings.create(model=EMBEDDING_MODEL, input=["the same"])
    assert answer.data[0].embedding == pytest.approx(embed(client, "the same")[0], abs=1e-6)


def test_fewer_dimensions_are_the_first_ones_at_unit_length(client: openai.OpenAI) -> None:
    [whole], [short] = embed(client, "cut"), embed(client, "cut", dimensions=64)
    assert len(short) == 64
    assert math.hypot(*short) == pytest.approx(1, abs=1e-5)
    assert cosine(short, whole[:64]) == pytest.approx(1, abs=1e-5)


def test_usage_counts_every_token(client: openai.OpenAI) -> None:
    one = client.embeddings.create(model=EMBEDDING_MODEL, input="some words").usage
    three = client.embeddings.create(model=EMBEDDING_MODEL, input=["some words"] * 3).usage
    assert three.prompt_tokens == three.total_tokens == 3 * one.prompt_tokens > 0


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"input": ""}, "input", None),
        ({"input": []}, "input", None),
        ({"input": "word " * 600}, "input", "context_length_exceeded"),
        ({"dimensions": DIMENSIONS + 1}, "dimensions", None),
        ({"dimensions": "all"}, "dimensions", None),
        ({"encoding_format": "hex"}, "encoding_format", None),
        ({"model": CHAT_MODEL}, "model", None),
    ],
    ids=["empty text", "empty list", "too long", "too many dimensions", "wrong type", "unknown format", "chat model"],
)
def test_a_wrong_request_is_refused_with_its_field(
    client: openai.OpenAI, options: dict[str, Any], param: str, code: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        embed(client, **{"texts": "text"} | options) if "input" not in options else embed(client, options["input"])
    assert (refusal.value.param, refusal.value.code) == (param, code)


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        embed(client, "text", model="nobody")
