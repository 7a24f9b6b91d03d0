"""A Qdrant server or cluster, through qdrant-client."""

from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any
from uuid import UUID

from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from rag.index.store import BM25, DENSE, Point, Query
from rag.lexical import SparseVector
from sluice.errors import StateUnavailable

BATCH = 256


class ServerStore:
    """The points in a collection.

    Raises:
        StateUnavailable: from every method, when the server does not answer, or not as it should.
    """

    def __init__(self, client: QdrantClient, collection: str) -> None:
        self._client = client
        self._collection = collection

    def write(self, dimensions: int, points: Iterable[Point]) -> None:
        """Fill the collection anew; what an interrupted attempt left of it is thrown away first."""
        with _explained():
            self._client.delete_collection(self._collection)
            self._client.create_collection(
                self._collection,
                vectors_config={DENSE: models.VectorParams(size=dimensions, distance=models.Distance.COSINE)},
                sparse_vectors_config={BM25: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            )
            remaining = iter(points)
            while batch := [_stored(point) for point in islice(remaining, BATCH)]:
                self._client.upsert(self._collection, batch, wait=True)

    def scores(self, query: Query, limit: int, among: Collection[str] | None = None) -> Mapping[str, float]:
        """See `Store`."""
        nearest: list[float] | models.SparseVector
        if isinstance(query, SparseVector):
            if not query.indices:
                return {}
            nearest, using = models.SparseVector(indices=query.indices, values=query.values), BM25
        else:
            nearest, using = query, DENSE
        ids: list[Any] = [] if among is None else [_uuid(one) for one in among]
        only = None if among is None else models.Filter(must=[models.HasIdCondition(has_id=ids)])
        with _explained():
            found = self._client.query_points(
                self._collection, query=nearest, using=using, query_filter=only, limit=limit, with_payload=False
            )
        return {UUID(str(point.id)).hex: point.score for point in found.points}

    def payloads(self, ids: Collection[str]) -> Mapping[str, dict[str, Any]]:
        """See `Store`."""
        with _explained():
            records = self._client.retrieve(self._collection, [_uuid(one) for one in ids], with_payload=True)
        return {UUID(str(record.id)).hex: record.payload or {} for record in records}

    def close(self) -> None:
        """See `Store`."""
        self._client.close()


def _stored(point: Point) -> models.PointStruct:
    sparse = models.SparseVector(indices=point.sparse.indices, values=point.sparse.values)
    return models.PointStruct(id=_uuid(point.id), vector={DENSE: point.dense, BM25: sparse}, payload=point.payload)


def _uuid(point_id: str) -> str:
    return str(UUID(point_id))


@contextmanager
def _explained() -> Generator[None]:
    try:
        yield
    # The last two are what the client makes of an answer that no Qdrant server gives.
    except (ApiException, QdrantException, ValueError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise StateUnavailable(
            f"The Qdrant server cannot be used: {reason}.", fix="Check rag.qdrant_url, and index the documents again."
        ) from error
