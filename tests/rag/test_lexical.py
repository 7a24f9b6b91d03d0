import pytest

from rag.lexical import Terms
from sluice.errors import ConfigurationError


def test_the_average_counts_terms_without_stop_words() -> None:
    assert Terms.of("english", ["the lock and the lock", "gates"]).average == pytest.approx(1.5, abs=1e-4)
    assert Terms.of("english", ["the"]).average == 1


def test_a_long_chunk_gives_a_term_less_weight() -> None:
    terms = Terms("english", 2)
    [lock] = terms.of_question("lock").indices
    short, long = terms.of_chunk("lock"), terms.of_chunk("lock " + "gate beck tunnel summit " * 5)
    assert (
        dict(zip(short.indices, short.values, strict=True))[lock]
        > dict(zip(long.indices, long.values, strict=True))[lock]
    )


@pytest.mark.parametrize(
    ("question", "text", "share"),
    [("deep locks", "the lock is deep", 1), ("deep locks", "a lock", 0.5), ("the", "the", 0), ("", "a lock", 0)],
)
def test_coverage_is_the_share_of_the_questions_terms(question: str, text: str, share: float) -> None:
    assert Terms("english").coverage(question, text) == share


def test_known_terms_do_not_count() -> None:
    terms = Terms("english")
    assert terms.coverage("the lock is deep", "a deep gate", known="which lock?") == 1
    assert terms.coverage("the lock", "the lock", known="which lock?") == 0


def test_an_unknown_language_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"rag\.language: .*klingon"):
        Terms("klingon").of_question("a")
