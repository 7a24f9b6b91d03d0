"""Vectors from the gateway's /v1/embeddings, with the caller's key and on behalf of the caller's request."""

from dataclasses import dataclass

from rag.loading import Progress
from sluice.gateway_client import GatewayClient

BATCH = 64
"""Texts of one request: enough to keep the embedder busy, few enough to show progress."""

Vector = list[float]


@dataclass(frozen=True)
class Embedder:
    """An embedding model behind the gateway."""

    client: GatewayClient
    model: str

    def chunks(self, texts: list[str], progress: Progress) -> list[Vector]:
        """One vector for each text.

        Raises:
            UpstreamRefused: the gateway's answer, such as that of a text longer than the model takes.
            UpstreamFailed: the gateway cannot be reached.
        """
        # Texts of like length go together: a batch is padded to its longest.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        vectors: list[Vector] = [[] for _ in texts]
        for begin in range(0, len(order), BATCH):
            progress("chunks embedded", begin, len(texts))
            batch = order[begin : begin + BATCH]
            embedded = self.client.embed(self.model, [texts[index] for index in batch])
            for index, vector in zip(batch, embedded, strict=True):
                vectors[index] = vector
        progress("chunks embedded", len(texts), len(texts))
        return vectors

    def question(self, text: str) -> tuple[Vector, str]:
        """A question's vector, and the id of the request that made it. A question too long for the model loses its end.

        Raises:
            UpstreamRefused, UpstreamFailed: as `chunks`.
        """
        answer, request_id = self.client.post(
            "/embeddings", {"model": self.model, "input": [text], "truncate_prompt_tokens": -1}
        )
        return answer["data"][0]["embedding"], request_id
