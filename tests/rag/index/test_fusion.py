import pytest

from rag.index.fusion import fuse


def test_a_score_far_above_the_others_says_more_than_a_first_place() -> None:
    dense = {"a": 0.52, "b": 0.51, "c": 0.50, "d": 0.49}
    lexical = {"b": 2.0, "c": 30.0, "d": 1.0}
    assert fuse(dense, lexical, 0.5)[0][0] == "c"


def test_the_weight_decides_between_the_two() -> None:
    dense, lexical = {"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}
    assert [fuse(dense, lexical, weight)[0][0] for weight in (0.9, 0.1)] == ["a", "b"]


def test_scores_are_standardised() -> None:
    assert fuse({"a": 3.0, "b": 1.0}, {}, 0.5) == [("a", 0.5), ("b", -0.5)]


@pytest.mark.parametrize("scores", [{}, {"a": 0.3}, {"b": 0.3, "a": 0.3}])
def test_scores_that_say_nothing_leave_the_order_of_ids(scores: dict[str, float]) -> None:
    assert fuse(scores, {}, 0.5) == [(one, 0.0) for one in sorted(scores)]
