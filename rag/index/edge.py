"""Qdrant Edge: Qdrant's engine in this process, on files."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import qdrant_edge as edge

from rag.index.store import BM25, DENSE, Point, Query
from rag.lexical import SparseVector

BATCH = 1_000


class EdgeStore:
    """The points in a folder. Any number of processes may have it open: it is written once, by `write`."""

    def __init__(self, folder: Path) -> None:
        self._shard = edge.EdgeShard.load(str(folder))

    @staticmethod
    def write(folder: Path, dimensions: int, points: Iterable[Point]) -> None:
        """Fill a new folder, and have it on disk when this returns."""
        folder.mkdir(parents=True)
        # Without a write-ahead log, which one process alone may hold open: nothing is written after this.
        config = edge.EdgeConfig(
            vectors={DENSE: edge.EdgeVectorParams(size=dimensions, distance=edge.Distance.Cosine)},
            sparse_vectors={BM25: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
            wal_enabled=False,
        )
        shard = edge.EdgeShard.create(str(folder), config)
        try:
            remaining: Iterator[Point] = iter(points)
            while batch := [_stored(point) for point in islice(remaining, BATCH)]:
                shard.update(edge.UpdateOperation.upsert_points(batch))
            shard.optimize()
            shard.flush()
        finally:
            shard.close()

    def scores(self, query: Query, limit: int, among: Collection[str] | None = None) -> Mapping[str, float]:
        """See `Store`."""
        if isinstance(query, SparseVector):
            if not query.indices:
                return {}
            nearest = edge.Query.Nearest(edge.SparseVector(query.indices, query.values), using=BM25)
        else:
            nearest = edge.Query.Nearest(query, using=DENSE)
        only = None if among is None else edge.Filter(must=[edge.HasIdCondition({UUID(one) for one in among})])
        found = self._shard.query(edge.QueryRequest(limit=limit, query=nearest, filter=only))
        return {_hex(point.id): point.score for point in found}

    def payloads(self, ids: Collection[str]) -> Mapping[str, dict[str, Any]]:
        """See `Store`."""
        records = self._shard.retrieve([UUID(one) for one in ids], with_payload=True, with_vector=False)
        return {_hex(record.id): record.payload or {} for record in records}

    def close(self) -> None:
        """See `Store`."""
        self._shard.close()


def _stored(point: Point) -> edge.Point:
    sparse = edge.SparseVector(point.sparse.indices, point.sparse.values)
    return edge.Point(UUID(point.id), {DENSE: point.dense, BM25: sparse}, point.payload)


def _hex(point_id: int | str | UUID) -> str:
    assert isinstance(point_id, UUID)
    return point_id.hex
