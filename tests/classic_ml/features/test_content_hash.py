from datetime import UTC, datetime

import polars as pl
import pytest

from classic_ml.features.content_hash import content_hash

FRAME = pl.DataFrame(
    {
        "who": ["ä", None, "bc"],
        "at": [datetime(2026, 1, 31, tzinfo=UTC)] * 3,
        "rate": [0.1, None, -2.5],
        "flag": [True, False, None],
        "count": [1, 2, 3],
    }
)


def test_the_hash_is_the_same_on_every_machine_and_for_every_way_of_keeping_it() -> None:
    assert content_hash(FRAME) == "eb1c68b6018b447add90b030f24573ed0698dc3e4e591521eb26215cc7dbf343"
    rechunked = pl.concat([FRAME.head(1), FRAME.tail(2)], rechunk=False)
    assert content_hash(rechunked) == content_hash(FRAME)


@pytest.mark.parametrize(
    "other",
    [
        FRAME.with_columns(pl.col("who").fill_null("")),
        FRAME.with_columns(pl.Series("who", ["äb", None, "c"])),
        FRAME.with_columns(pl.col("rate").fill_null(0.0)),
        FRAME.with_columns(pl.col("count").cast(pl.Int32)),
        FRAME.rename({"count": "number"}),
        FRAME.select(reversed(FRAME.columns)),
        FRAME.reverse(),
        FRAME.head(2),
    ],
    ids=["null", "boundary", "missing number", "type", "name", "order of columns", "order of rows", "fewer"],
)
def test_whatever_differs_changes_it(other: pl.DataFrame) -> None:
    assert content_hash(other) != content_hash(FRAME)
