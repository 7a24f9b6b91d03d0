"""The gate between bronze and silver."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from classic_ml.quality.expectation import Expectation, text

REPEATED = "repeats the key of another row of the file"


@dataclass(frozen=True)
class Gated:
    """A load's rows, parted.

    Attributes:
        accepted: one row for each key.
        quarantined: the others, with all their `reasons` (a list).
        rejected: how many of them break an expectation; the rest only repeat a key.
        counts: how many rows each reason met, the most frequent first.
    """

    accepted: pl.DataFrame
    quarantined: pl.DataFrame
    rejected: int
    counts: dict[str, int]


def judge(rows: pl.DataFrame, expectations: Sequence[Expectation], key: str) -> Gated:
    """Part rows by what is expected of each; of several good rows with one key the last is taken.

    Args:
        rows: bronze rows of one load, in the file's order.
        key: the column that names what a row is about.
    """
    failures = [
        pl.when(expected.holds.fill_null(False)).then(None).otherwise(pl.lit(expected.reason))
        for expected in expectations
    ]
    judged = (
        rows.with_columns(pl.concat_list(failures).list.drop_nulls().alias("reasons"))
        .with_columns(text(key).alias("_key"), (pl.col("reasons").list.len() > 0).alias("_bad"))
        .with_row_index("_place")
    )
    # Of each key the row taken is the last good one, and where none is good, the last; all others repeat it.
    taken = judged.sort(~pl.col("_bad"), "_place").unique("_key", keep="last").select("_place")
    repeats = ~pl.col("_place").is_in(taken["_place"].to_list()) & (pl.col("_key") != "")
    reasons = pl.when(repeats).then(pl.col("reasons").list.concat(pl.lit([REPEATED]))).otherwise(pl.col("reasons"))
    judged = judged.with_columns(reasons.alias("reasons"))
    good = pl.col("reasons").list.len() == 0
    quarantined = judged.filter(~good)
    counts = quarantined["reasons"].explode().value_counts(sort=True).sort("count", "reasons", descending=[True, False])
    return Gated(
        accepted=judged.filter(good).select(rows.columns),
        quarantined=quarantined.select(*rows.columns, "reasons"),
        rejected=int(judged["_bad"].sum()),
        counts=dict(counts.iter_rows()),
    )
