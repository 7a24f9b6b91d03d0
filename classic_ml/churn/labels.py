"""What the model learns to say: that a customer left."""

import polars as pl

from classic_ml.features.view import LabelView


def _churned(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("churned").cast(pl.Int8))


CHURNED = LabelView(entity="customer_id", table="churn", label="churned", compute=_churned)
