"""The point-in-time join: to each label the features that were known at its time."""

import polars as pl

from classic_ml.features.view import FeatureView

VISIBLE = "_visible"
NEWEST = "_newest"


def join_as_known(labels: pl.DataFrame, view: FeatureView, rows: pl.DataFrame) -> pl.DataFrame:
    """Labels with a view's features: of the rows that had happened *and* were known at the label's time the newest.

    Newest is by event time; among rows of one event time, the one known last corrects the others. A row older than the
    view's `ttl` counts for nothing. Labels for which nothing was known keep nulls.

    Args:
        labels: the view's entity column, `at`, and whatever else.
        rows: what `view.rows` gives.
    """
    # A row can be seen from the later of its two times on. Rows are numbered by how new they are; the greatest number
    # seen so far names the row that is best from then on, so one ordinary as-of join over that time finds it.
    seen = (
        rows.sort(view.event_time, view.known_time)
        .with_row_index(NEWEST)
        .with_columns(pl.max_horizontal(view.event_time, view.known_time).alias(VISIBLE))
    )
    best = (
        seen.sort(VISIBLE, NEWEST)
        .select(view.entity, VISIBLE, pl.col(NEWEST).cum_max().over(view.entity))
        .unique([view.entity, VISIBLE], keep="last", maintain_order=True)
    )
    found = (
        labels.sort("at")
        .join_asof(best, left_on="at", right_on=VISIBLE, by=view.entity, check_sortedness=False)
        .join(seen.drop(view.entity, VISIBLE, view.known_time), on=NEWEST, how="left")
    )
    fresh = pl.lit(True) if view.ttl is None else pl.col("at") - pl.col(view.event_time) <= view.ttl
    features = [pl.when(fresh).then(pl.col(name)).alias(name) for name in view.features]
    return found.with_columns(features).select(*labels.columns, *view.features)
