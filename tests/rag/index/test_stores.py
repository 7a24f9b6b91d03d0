"""One suite for both engines; the server's client runs its own engine in memory, for no server is to be had here."""

import math
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from rag.index.edge import EdgeStore
from rag.index.server import ServerStore
from rag.index.store import Point, Store
from rag.lexical import SparseVector, Terms
from sluice.errors import StateUnavailable
from tests.rag.gateway_double import DIMENSIONS, vector_of

TEXTS = {
    "the lock at Marrick": "a" * 32,
    "the lock at Saltholme and its two gates": "b" * 32,
    "tolls for canoes": "c" * 32,
}
TERMS = Terms.of("english", list(TEXTS))
POINTS = [Point(key, vector_of(text), TERMS.of_chunk(text), {"text": text}) for text, key in TEXTS.items()]
A, B, C = TEXTS.values()
Write = Callable[[list[Point]], Store]


@pytest.fixture(params=["edge", "server"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Write]:
    stores: list[Store] = []

    def write(points: list[Point]) -> Store:
        if request.param == "edge":
            EdgeStore.write(tmp_path / "points", DIMENSIONS, points)
            stores.append(EdgeStore(tmp_path / "points"))
        else:
            server = ServerStore(QdrantClient(":memory:"), "docs@1")
            server.write(DIMENSIONS, points)
            stores.append(server)
        return stores[-1]

    yield write
    for store in stores:
        store.close()


def test_a_dense_query_scores_by_cosine(write: Write) -> None:
    scores = write(POINTS).scores(vector_of("tolls for canoes"), 2)
    assert next(iter(scores)) == C
    assert scores[C] == pytest.approx(1, abs=1e-5)
    assert len(scores) == 2


def test_a_sparse_query_scores_what_shares_a_term_the_rarer_the_higher(write: Write) -> None:
    store = write(POINTS)
    scores = store.scores(TERMS.of_question("lock gates"), 10)
    assert list(scores) == [B, A]
    weights = dict(zip(POINTS[0].sparse.indices, POINTS[0].sparse.values, strict=True))
    [lock] = TERMS.of_question("lock").indices
    assert scores[A] == pytest.approx(math.log(1 + 1.5 / 2.5) * weights[lock], rel=1e-4)  # in two of three chunks
    assert store.scores(TERMS.of_question("the and"), 10) == {}


def test_scores_among_some_ids(write: Write) -> None:
    store = write(POINTS)
    assert set(store.scores(vector_of("lock"), 10, {A, C})) == {A, C}
    assert set(store.scores(TERMS.of_question("lock"), 10, {A, C})) == {A}


def test_payloads_come_back_as_they_were_stored(write: Write) -> None:
    assert write(POINTS).payloads([C, A]) == {A: {"text": "the lock at Marrick"}, C: {"text": "tolls for canoes"}}


def test_a_point_written_twice_is_there_once(write: Write) -> None:
    assert len(write(POINTS + POINTS).scores(vector_of("lock"), 10)) == len(POINTS)


def test_more_points_than_one_batch(write: Write) -> None:
    many = [Point(f"{number:032x}", vector_of(str(number)), SparseVector([1], [1.0]), {}) for number in range(1_100)]
    assert len(write(many).scores(SparseVector([1], [1.0]), 2_000)) == len(many)


def test_an_edge_store_may_be_open_twice(tmp_path: Path) -> None:
    EdgeStore.write(tmp_path / "points", DIMENSIONS, POINTS)
    first, second = EdgeStore(tmp_path / "points"), EdgeStore(tmp_path / "points")
    assert first.payloads([A]) == second.payloads([A])


def test_a_server_that_does_not_answer_is_named() -> None:
    store = ServerStore(QdrantClient(url="http://127.0.0.1:9", check_compatibility=False), "docs@1")
    with pytest.raises(StateUnavailable, match=r"Qdrant server cannot be used: .*rag\.qdrant_url"):
        store.scores(vector_of("lock"), 1)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>", "Expecting value"),
        (200, b'{"result": null}', "returned None"),
        (401, b"no", "401 (Unauthorized)"),
        (429, b"{}", "Resource Exhausted"),
    ],
)
def test_what_no_qdrant_server_in_order_would_answer_is_one_clear_error(status: int, body: bytes, said: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("retry-after", "1")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        store = ServerStore(QdrantClient(url=url, check_compatibility=False), "docs@1")
        with pytest.raises(StateUnavailable, match="Qdrant server cannot be used: ") as raised:
            store.scores(vector_of("lock"), 1)
        server.shutdown()
    assert said in str(raised.value)


def test_a_server_collection_is_written_anew_after_an_interrupted_attempt() -> None:
    client = QdrantClient(":memory:")
    ServerStore(client, "docs@1").write(DIMENSIONS, POINTS)
    ServerStore(client, "docs@1").write(DIMENSIONS, POINTS[:1])
    assert set(ServerStore(client, "docs@1").scores(vector_of("lock"), 10)) == {A}
