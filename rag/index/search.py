"""Searching an index: both kinds of search, fused, with a measure of how much a passage has to do with the question."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rag.embedding import Embedder, Vector
from rag.index.fusion import fuse
from rag.index.store import Store
from rag.index.version import IndexVersion
from rag.lexical import Terms

COVERAGE_WEIGHT = 0.4
"""The share of the question's terms in the relevance; the rest is cosine. Measured: docs/ask.md."""


@dataclass(frozen=True)
class Hit:
    """A passage that was found.

    Attributes:
        chunk: its hash; with `document` (the file's SHA-256), what the lineage knows it by.
        path: of the file, relative to the folder that was indexed.
        start, end: where it stands in the file's text, in characters.
        score: what hits are ordered by; it compares passages of one search only.
        relevance: 0 to 1, comparable between searches.
    """

    chunk: str
    document: str
    path: str
    start: int
    end: int
    text: str
    score: float
    relevance: float


@dataclass(frozen=True)
class Index:
    """One version of an index, open, with the embedder that was used to build it."""

    version: IndexVersion
    store: Store
    embedder: Embedder
    candidates: int
    dense_weight: float

    def search(self, query: str, k: int = 10) -> list[Hit]:
        """The `k` best passages, best first.

        Raises:
            UpstreamRefused, UpstreamFailed: the query cannot be embedded.
        """
        return self.rank(query, self.embedder.question(query)[0], k)

    def rank(self, query: str, vector: Vector, k: int) -> list[Hit]:
        """As `search`, with the query's vector at hand."""
        sparse = self.terms.of_question(query)
        limit = max(self.candidates, k)
        found = self.store.scores(vector, limit).keys() | self.store.scores(sparse, limit).keys()
        # What one search found, the other scores too: neither then guesses about the other's finds.
        cosines = self.store.scores(vector, len(found), found)
        ranked = fuse(cosines, self.store.scores(sparse, len(found), found), self.dense_weight)[:k]
        payloads = self.store.payloads([chunk for chunk, _ in ranked])
        hits: list[Hit] = []
        for chunk, score in ranked:
            payload = payloads[chunk]
            relevance = self._relevance(query, payload["text"], cosines.get(chunk, 0.0))
            hits.append(Hit(chunk, score=round(score, 4), relevance=round(relevance, 4), **payload))
        return hits

    def relevance(self, query: str, vector: Vector, texts: list[str]) -> list[float]:
        """How much each text has to do with a query.

        Raises:
            UpstreamRefused, UpstreamFailed: the texts cannot be embedded.
        """
        vectors = np.array(self.embedder.chunks(texts, lambda *_: None))
        cosines = vectors @ np.array(vector) / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(vector))
        return [self._relevance(query, text, cosine) for text, cosine in zip(texts, cosines.tolist(), strict=True)]

    @cached_property
    def terms(self) -> Terms:
        """How texts become terms in this index."""
        return Terms(self.version.language, self.version.average_terms)

    def _relevance(self, query: str, text: str, cosine: float) -> float:
        return (1 - COVERAGE_WEIGHT) * max(cosine, 0.0) + COVERAGE_WEIGHT * self.terms.coverage(query, text)
