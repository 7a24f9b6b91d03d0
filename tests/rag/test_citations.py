import pytest

from rag.citations import cite, quote
from rag.excerpts import Excerpt
from rag.index.search import Hit
from rag.lexical import Terms

TERMS = Terms("english")


def excerpt(path: str, text: str) -> Excerpt:
    hit = Hit("chunk", "document", path, 100, 200, f"… {text}", 1.0, 0.8)
    return Excerpt(hit, (2, 2 + len(text)), (6, 6 + len("lock at")))


EXCERPTS = [
    excerpt("locks.md", "The lock at Marrick is 62 metres deep."),
    excerpt("tolls.txt", "A day ticket costs 9 crowns; canoes travel free."),
]


def cited(answer: str, question: str = "What does it cost?") -> tuple[str, list[int]] | None:
    found = cite(answer, question, EXCERPTS, TERMS)
    return found and (found[0], [citation.number for citation in found[1]])


@pytest.mark.parametrize(
    ("answer", "text", "numbers"),
    [
        ("A day ticket costs 9 crowns.", "A day ticket costs 9 crowns. [2]", [2]),
        ("Canoes travel free [2].", "Canoes travel free [2].", [2]),
        ("Canoes travel free [2], the lock is deep [1].", "Canoes travel free [2], the lock is deep [1].", [1, 2]),
        ("Canoes travel free [7].", "Canoes travel free. [2]", [2]),
        ("Canoes travel free [2] [9].", "Canoes travel free [2].", [2]),
        ("Canoes travel free [2, 9].", "Canoes travel free [2].", [2]),
        ("Canoes travel free, the lock is deep [1; 2].", "Canoes travel free, the lock is deep [1][2].", [1, 2]),
    ],
)
def test_numbers_lead_to_excerpts(answer: str, text: str, numbers: list[int]) -> None:
    assert cited(answer) == (text, numbers)


@pytest.mark.parametrize(
    "answer",
    [
        *("", "[1]", "What does it cost?", "The answer to this question is:"),
        *("A day ticket costs 12 crowns.", "The lock costs 9 crowns [1]."),
    ],
)
def test_what_the_cited_excerpts_do_not_hold_is_no_answer(answer: str) -> None:
    assert cited(answer) is None


def test_a_figure_of_the_question_needs_no_source() -> None:
    assert cited("In 2024 a day ticket costs 9 crowns.", "What did it cost in 2024?") is not None


def test_a_documents_own_numbers_are_no_citations() -> None:
    hit = Hit("chunk", "document", "locks.md", 0, 30, "Deep [2] it is.[12]", 1.0, 0.8)
    text, [citation] = quote([Excerpt(hit, (0, 19), (0, 19))])
    assert text == "“Deep it is.” [1]"
    assert citation.text == hit.text


def test_a_citation_stands_where_the_excerpt_does() -> None:
    text, [citation] = quote(EXCERPTS)
    assert text == f"“{citation.text}” [1]" == "“lock at” [1]"
    assert (citation.path, citation.start, citation.end) == ("locks.md", 106, 113)
    assert (citation.chunk, citation.document, citation.relevance) == ("chunk", "document", 0.8)
