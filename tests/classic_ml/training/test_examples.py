"""Training sets as learners take them."""

import polars as pl
import pytest

from classic_ml.training.examples import FOLDS, as_examples, as_values, fold_of, require_both_labels
from sluice.errors import InvalidRequest


def test_numbers_and_texts_are_told_apart_and_missing_values_stay_missing() -> None:
    frame = pl.DataFrame(
        {"id": ["a", "b"], "months": [1, None], "is_new": [True, False], "contract": ["one", None], "left": [0, 1]}
    )
    examples = as_examples(frame, "id", ["contract", "months", "is_new"], "left")
    assert (examples.numeric, examples.categorical) == ((1, 2), (0,))
    assert examples.values.tolist() == [["one", 1, True], [None, None, False]]
    assert examples.labels.tolist() == [0, 1]


def test_an_entity_is_in_the_same_fold_wherever_it_stands() -> None:
    entities = [f"{number:04d}-TESTS" for number in range(500)]
    frame = pl.DataFrame({"id": entities, "x": range(500), "y": [0, 1] * 250})
    folds = as_examples(frame, "id", ["x"], "y").folds
    backwards = as_examples(frame.reverse(), "id", ["x"], "y").folds
    assert folds.tolist() == backwards[::-1].tolist()
    assert min(folds.tolist().count(fold) for fold in range(FOLDS)) > 70
    assert fold_of("7590-VHVEG") == folds_of_another_process("7590-VHVEG")


@pytest.mark.parametrize("labels", [[0] * 500, [1] * 500, [1, 0, 0, 0, 0], [1] * 2 + [0] * 498])
def test_folds_need_rows_of_both_labels(labels: list[int]) -> None:
    frame = pl.DataFrame({"id": [f"{number:04d}" for number in range(len(labels))], "x": labels, "y": labels})
    with pytest.raises(InvalidRequest, match=r"too few for 5 folds .* Load more data: sluice ml ingest FILE"):
        require_both_labels(as_examples(frame, "id", ["x"], "y"))


def folds_of_another_process(entity: str) -> int:
    """Python's own hash differs from process to process; this one must not."""
    import subprocess
    import sys

    code = f"from classic_ml.training.examples import fold_of; print(fold_of({entity!r}))"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)


def test_what_a_row_lacks_is_none() -> None:
    assert as_values([{"a": 1}], ["b", "a"]).tolist() == [[None, 1]]
