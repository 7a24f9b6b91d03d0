from dataclasses import replace
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from rag.index.build import store_points
from rag.index.search import Index
from rag.index.server import ServerStore
from rag.loading import Document, load_file
from rag.splitting import Splitter, open_tokenizer
from tests.rag.gateway_double import GatewayDouble, vector_of


def test_the_best_passage_comes_first_and_resolves_to_its_file(index: Index, pages: Path) -> None:
    hits = index.search("how many crowns is a day ticket", 2)
    assert hits[0].path == "tolls.txt"
    assert len(hits) == 2
    assert hits[0].score > hits[1].score
    for hit in hits:
        document = load_file(pages / hit.path, hit.path, 10_000)
        assert isinstance(document, Document)
        assert document.text[hit.start : hit.end] == hit.text
        assert hit.document == document.sha256


def test_relevance_is_high_for_a_passages_own_words_and_low_for_others(index: Index) -> None:
    own, other = index.search("Ines Okafor keeps the sluice", 1)[0], index.search("guitar strings jazz", 1)[0]
    assert own.relevance > 0.7
    assert other.relevance < 0.2


@pytest.mark.parametrize("query", ["the", "?", "guitar", "世界", "\0"])
def test_a_query_without_a_known_term_still_gets_an_answer(index: Index, query: str) -> None:
    assert len(index.search(query, 2)) == 2


def test_more_hits_than_there_are_chunks(index: Index) -> None:
    assert len(index.search("lock", 100)) == index.version.chunks


def test_the_query_is_cut_to_the_embedders_length_and_carries_the_parent(
    index: Index, gateway_double: GatewayDouble
) -> None:
    gateway_double.requests.clear()
    index.search("lock " * 1_000)
    [(path, headers, body)] = gateway_double.requests
    assert (path, body["truncate_prompt_tokens"]) == ("/v1/embeddings", -1)
    assert headers["x-sluice-parent"] == "req-parent"


def test_the_other_engine_finds_the_same(index: Index, pages: Path, tmp_path: Path) -> None:
    splitter = Splitter(open_tokenizer(tmp_path / "model"), index.version.chunk_tokens)
    documents = [load_file(pages / one.path, one.path, 10_000) for one in index.version.documents]
    chunks = [chunk for document in documents if isinstance(document, Document) for chunk in splitter.split(document)]
    store = ServerStore(QdrantClient(":memory:"), "docs")
    store.write(index.version.dimensions, store_points(chunks, [vector_of(c.text) for c in chunks], index.terms))
    for query in ("lock gates", "crowns", "who keeps the sluice at Marrick"):
        there, here = replace(index, store=store).search(query, 4), index.search(query, 4)
        assert [hit.chunk for hit in there] == [hit.chunk for hit in here]
        assert [hit.score for hit in there] == pytest.approx([hit.score for hit in here], abs=1e-3)
