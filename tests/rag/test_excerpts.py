from pathlib import Path

import pytest

from rag.excerpts import choose_excerpts, sentence_spans
from rag.index.search import Index
from rag.loading import Document, load_file
from tests.rag.gateway_double import vector_of


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It costs 1.5 crowns, e.g. at noon. Then 2.", ["It costs 1.5 crowns, e.g. at noon.", "Then 2."]),
        ("# Head\n\nText over\ntwo lines.\n\nMore", ["Text over\ntwo lines.", "More"]),
        ("- a\n- b\n1. c", ["- a", "- b", "1. c"]),
        ("He said “Go.” Élan followed.", ["He said “Go.”", "Élan followed."]),
        ("## Only a heading", []),
        ("  \n ", []),
    ],
)
def test_sentences_and_where_they_stand(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


def test_the_best_sentence_brings_its_neighbours_as_far_as_they_fit(index: Index) -> None:
    question = "How deep is the lock at Marrick?"
    vector = vector_of(question)
    hits = index.rank(question, vector, 3)
    whole, short = (choose_excerpts(index, question, vector, hits, characters)[0] for characters in (100, 40))
    assert whole.text == "The lock at Marrick is 62 metres deep. It has two gates."
    assert short.text == whole.best.text == "The lock at Marrick is 62 metres deep."


def test_a_sentence_longer_than_allowed_is_taken_alone(index: Index) -> None:
    question = "How deep is the lock at Marrick?"
    hits = index.rank(question, vector_of(question), 3)
    [only] = choose_excerpts(index, question, vector_of(question), hits, 5)
    assert only.text == "The lock at Marrick is 62 metres deep."


def test_more_room_takes_in_other_passages_and_spans_count_in_the_file(index: Index, pages: Path) -> None:
    question = "locks and sluices at Marrick"
    hits = index.rank(question, vector_of(question), 3)
    excerpts = choose_excerpts(index, question, vector_of(question), hits, 10_000)
    assert len(excerpts) == 3
    for excerpt in excerpts:
        document = load_file(pages / excerpt.hit.path, excerpt.hit.path, 10_000)
        assert isinstance(document, Document)
        assert document.text[slice(*excerpt.place)] == excerpt.text
        assert excerpt.best.text in excerpt.text
