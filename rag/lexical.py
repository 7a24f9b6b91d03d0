"""BM25's terms, weighed by Qdrant's own Rust code, for both engines alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import qdrant_edge

from sluice.errors import ConfigurationError


@dataclass(frozen=True)
class SparseVector:
    """Terms as numbers, and their weights."""

    indices: list[int]
    values: list[float]


@dataclass(frozen=True)
class Terms:
    """Splits texts into stemmed terms without stop words.

    Attributes:
        average: terms of an average chunk of the index.
    """

    language: str
    average: float = 256

    @classmethod
    def of(cls, language: str, texts: Sequence[str]) -> "Terms":
        """With the average of these texts."""
        # With such a k and no b, BM25's weight of a term is how often it occurs.
        count = _model(qdrant_edge.Bm25Config(k=1e6, b=0, avg_len=1, language=language))
        total = sum(sum(count.embed_document(text).values) for text in texts)
        return cls(language, max(total / max(len(texts), 1), 1.0))

    def of_chunk(self, text: str) -> SparseVector:
        """A chunk's terms by BM25, but for their rarity, which the engine knows."""
        return _plain(self._bm25.embed_document(text))

    def of_question(self, text: str) -> SparseVector:
        """A question's terms, all alike."""
        return _plain(self._bm25.embed_query(text))

    def coverage(self, wanted: str, text: str, known: str = "") -> float:
        """The share of the terms of `wanted`, but for those `known`, that a text has; 0 where there are none."""
        terms = set(self.of_question(wanted).indices) - set(self.of_question(known).indices)
        return len(terms & set(self.of_chunk(text).indices)) / len(terms) if terms else 0.0

    @cached_property
    def _bm25(self) -> qdrant_edge.Bm25:
        return _model(qdrant_edge.Bm25Config(avg_len=self.average, language=self.language))


def _model(config: qdrant_edge.Bm25Config) -> qdrant_edge.Bm25:
    try:
        return qdrant_edge.Bm25(config)
    except ValueError as error:
        raise ConfigurationError(f"rag.language: {error}.") from None


def _plain(vector: qdrant_edge.SparseVector) -> SparseVector:
    return SparseVector(list(vector.indices), list(vector.values))
