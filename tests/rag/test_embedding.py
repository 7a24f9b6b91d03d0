import pytest

from rag.embedding import BATCH, Embedder
from sluice.errors import UpstreamFailed
from sluice.gateway_client import GatewayClient
from tests.rag.conftest import no_progress
from tests.rag.gateway_double import GatewayDouble, vector_of


def test_vectors_come_in_the_order_of_the_texts_whatever_the_batches(
    client: GatewayClient, gateway_double: GatewayDouble
) -> None:
    texts = [f"{'long ' * (number % 7)}text {number}" for number in range(BATCH + 10)]
    told: list[tuple[int, int]] = []
    vectors = Embedder(client, "words").chunks(texts, lambda _, done, total: told.append((done, total)))
    assert vectors == [vector_of(text) for text in texts]
    assert [len(body["input"]) for body in gateway_double.sent("/v1/embeddings")] == [BATCH, 10]
    assert told == [(0, 74), (64, 74), (74, 74)]


def test_a_question_knows_its_request(client: GatewayClient) -> None:
    assert Embedder(client, "words").question("a lock") == (vector_of("a lock"), "req-1")


def test_a_gateway_that_does_not_answer_is_named() -> None:
    with GatewayClient("http://127.0.0.1:9/v1", "k") as nowhere, pytest.raises(UpstreamFailed, match="sluice up"):
        Embedder(nowhere, "words").chunks(["a"], no_progress)
