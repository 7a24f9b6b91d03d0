"""What an engine must do for an index; `edge` and `server` do it, and one suite of tests holds both to it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rag.embedding import Vector
from rag.lexical import SparseVector

DENSE, BM25 = "dense", "bm25"
"""The names of a point's two vectors."""

Query = Vector | SparseVector
"""A dense query is scored by cosine, a sparse one by BM25."""


@dataclass(frozen=True)
class Point:
    """A chunk as it is stored; `id` has 32 hexadecimal digits."""

    id: str
    dense: Vector
    sparse: SparseVector
    payload: dict[str, Any]


class Store(Protocol):
    """The points of one version of one index."""

    def scores(self, query: Query, limit: int, among: Collection[str] | None = None) -> Mapping[str, float]:
        """The best points and their scores; `among`: only those of these ids. By BM25, only what shares a term."""
        ...

    def payloads(self, ids: Collection[str]) -> Mapping[str, dict[str, Any]]:
        """What is stored with points."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
