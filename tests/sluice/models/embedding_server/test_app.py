"""The real model, end to end, through the official client."""

import asyncio
import base64
import json
from collections.abc import Iterator

import httpx
import numpy as np
import openai
import pytest
from numpy.typing import NDArray

TEXTS = ["The capital of France is Paris.", "a", "Boundary layers on a flat plate in supersonic flow. " * 12]
# What SentenceTransformer.encode of sentence-transformers 6.2.0 gives for TEXTS: the first three of 384 components.
REFERENCE = [[0.103257, 0.03042, 0.029096], [-0.036433, 0.034703, -0.04596], [-0.003263, -0.083943, 0.084083]]


@pytest.fixture
def client(embedding_server: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{embedding_server}/v1", api_key="none", max_retries=0, timeout=120) as client:
        yield client


@pytest.fixture
def http(embedding_server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=embedding_server, timeout=120) as http:
        yield http


def vectors(answer: openai.types.CreateEmbeddingResponse) -> NDArray[np.float64]:
    return np.array([item.embedding for item in answer.data])


def metric(http: httpx.Client, name: str) -> float:
    lines = http.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"sluice_embedding_{name} "))


def test_the_vectors_are_those_of_sentence_transformers(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="minilm", input=TEXTS)
    found = vectors(answer)
    assert found.shape == (3, 384)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.allclose(found[:, :3], REFERENCE, atol=1e-5)
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert answer.model == "minilm"


def test_float_and_base64_are_equal(client: openai.OpenAI, http: httpx.Client) -> None:
    floats = client.embeddings.create(model="minilm", input=TEXTS, encoding_format="float")
    coded = http.post("/v1/embeddings", json={"model": "minilm", "input": TEXTS, "encoding_format": "base64"}).json()
    decoded = [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in coded["data"]]
    assert np.array_equal(vectors(floats).astype(np.float32), np.array(decoded))


def test_alone_and_in_a_batch_are_equal(client: openai.OpenAI) -> None:
    together = vectors(client.embeddings.create(model="minilm", input=TEXTS * 20))
    alone = np.vstack([vectors(client.embeddings.create(model="minilm", input=text)) for text in TEXTS] * 20)
    assert (together * alone).sum(axis=1).min() > 0.99999


def test_token_ids_are_taken_as_they_are(client: openai.OpenAI) -> None:
    hello = [101, 7592, 102]  # [CLS] hello [SEP]
    text, ids, lists = (
        client.embeddings.create(model="minilm", input=value) for value in ("hello", hello, [hello, hello])
    )
    assert np.allclose(vectors(text), vectors(ids), atol=1e-6)
    assert np.allclose(vectors(lists), np.vstack([vectors(ids)] * 2), atol=1e-6)
    assert (text.usage.prompt_tokens, ids.usage.prompt_tokens, lists.usage.total_tokens) == (3, 3, 6)


def test_dimensions_shorten_and_renormalise(client: openai.OpenAI) -> None:
    whole = vectors(client.embeddings.create(model="minilm", input=TEXTS))
    short = vectors(client.embeddings.create(model="minilm", input=TEXTS, dimensions=64))
    assert short.shape == (3, 64)
    assert np.allclose(short, whole[:, :64] / np.linalg.norm(whole[:, :64], axis=1, keepdims=True), atol=1e-5)
    assert np.allclose(vectors(client.embeddings.create(model="minilm", input=TEXTS, dimensions=384)), whole, atol=1e-6)


def test_truncation_keeps_the_first_tokens(client: openai.OpenAI) -> None:
    long = "word " * 300
    for keep, tokens in ((-1, 256), (256, 256), (10, 10)):
        cut = client.embeddings.create(model="minilm", input=long, extra_body={"truncate_prompt_tokens": keep})
        same = client.embeddings.create(model="minilm", input="word " * (tokens - 2))
        assert cut.usage.prompt_tokens == same.usage.prompt_tokens == tokens
        assert np.allclose(vectors(cut), vectors(same), atol=1e-5)


def test_unknown_fields_and_user_are_accepted(client: openai.OpenAI) -> None:
    client.embeddings.create(model="minilm", input="a", user="someone", extra_body={"priority": 3})


async def test_concurrent_requests_share_batches(embedding_server: str, http: httpx.Client) -> None:
    before = metric(http, "batches_total"), metric(http, "requests_total"), metric(http, "texts_total")
    async with openai.AsyncOpenAI(base_url=f"{embedding_server}/v1", api_key="none", timeout=120) as client:
        texts = [f"text number {index}" for index in range(64)]
        answers = await asyncio.gather(*(client.embeddings.create(model="minilm", input=text) for text in texts))
        together = await client.embeddings.create(model="minilm", input=texts)
    found = np.vstack([vectors(answer) for answer in answers])
    assert (found * vectors(together)).sum(axis=1).min() > 0.99999
    assert metric(http, "requests_total") - before[1] == 65
    assert metric(http, "texts_total") - before[2] == 128
    assert metric(http, "batches_total") - before[0] < 64
    assert metric(http, "queued_texts") == 0


async def test_a_client_that_goes_away_takes_its_texts_with_it(embedding_server: str, http: httpx.Client) -> None:
    texts_before = metric(http, "texts_total")
    body = json.dumps({"model": "minilm", "input": ["word " * 200] * 1000}).encode()
    host, port = embedding_server.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    async with asyncio.timeout(60):
        while not metric(http, "queued_texts"):
            await asyncio.sleep(0.05)
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(60):
        while metric(http, "queued_texts"):
            await asyncio.sleep(0.05)
    assert metric(http, "texts_total") - texts_before < 900


@pytest.mark.parametrize(
    ("body", "status", "param", "code", "message"),
    [
        ({"input": ""}, 400, "input", None, "Input 0 is empty"),
        ({"input": ["a", ""]}, 400, "input", None, "Input 1 is empty"),
        ({"input": []}, 400, "input", None, "is empty"),
        ({"input": [[]]}, 400, "input", None, "Input 0 is empty"),
        ({"input": 7}, 400, "input", None, "Expected"),
        ({"input": None}, 400, "input", None, "Expected"),
        ({"input": [True]}, 400, "input", None, "Expected"),
        ({"input": ["a", 1]}, 400, "input", None, "mixes"),
        ({"input": ["a", [1]]}, 400, "input", None, "mixes"),
        ({"input": [[1, "a"]]}, 400, "input", None, "Expected"),
        ({"input": ["a"] * 2049}, 400, "input", None, "2049 inputs"),
        ({"input": [101, 99999]}, 400, "input", None, "vocabulary"),
        ({"input": [[101], [-1]]}, 400, "input", None, "Input 1"),
        ({"input": ["a", "word " * 300]}, 400, "input", "context_length_exceeded", "256 tokens, but input 1 has 302"),
        ({"input": [101] * 257}, 400, "input", "context_length_exceeded", "input 0 has 257"),
        ({"input": "a", "dimensions": 385}, 400, "dimensions", None, "1 to 384"),
        ({"input": "a", "dimensions": 0}, 400, "dimensions", None, "1 to 384"),
        ({"input": "a", "encoding_format": "hex"}, 400, "encoding_format", None, "hex"),
        ({"input": "a", "truncate_prompt_tokens": 257}, 400, "truncate_prompt_tokens", None, "257"),
        ({"input": "a", "truncate_prompt_tokens": 0}, 400, "truncate_prompt_tokens", None, "0"),
        ({"input": "a", "model": "other"}, 404, "model", "model_not_found", "'other' does not exist"),
        ({"input": "a", "model": 3}, 400, "model", None, "Expected"),
        ({}, 400, "input", None, "missing required field"),
    ],
)
def test_a_wrong_request_gets_openais_error(
    http: httpx.Client, body: dict[str, object], status: int, param: str, code: str | None, message: str
) -> None:
    answer = http.post("/v1/embeddings", json={"model": "minilm", **body})
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert message in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model":"minilm","input":"\\ud800"}'])
def test_a_malformed_body_gets_openais_error(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v1/embeddings", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_body_that_is_too_large_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/embeddings", content=b" " * (32 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_models_and_health(client: openai.OpenAI, http: httpx.Client) -> None:
    assert [model.id for model in client.models.list()] == ["minilm"]
    assert client.models.retrieve("minilm").id == "minilm"
    with pytest.raises(openai.NotFoundError, match="'other' does not exist"):
        client.models.retrieve("other")
    assert http.get("/health").status_code == 200


def test_other_paths_and_methods(http: httpx.Client) -> None:
    assert (http.get("/nowhere").status_code, http.get("/nowhere").json()["error"]["code"]) == (404, "not_found")
    wrong = http.get("/v1/embeddings")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
