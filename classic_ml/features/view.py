"""Feature views and label views: what a gold table says about an entity, with its times."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

Columns = Callable[[pl.LazyFrame], pl.LazyFrame]
"""Adds columns to a gold table's rows, each computed from its own row alone."""


@dataclass(frozen=True)
class FeatureView:
    """Features of one entity, computed by the same function for training and for serving.

    Attributes:
        entity: the gold column that says whom a row is about.
        table: the gold table.
        features: the columns of `compute`'s result that are features.
        compute: adds the features.
        event_time: the column that says when it was so.
        known_time: the column that says when it came to be known: a late correction is not seen before.
        ttl: how long a row stays good; None: until a newer one.
    """

    name: str
    entity: str
    table: str
    features: tuple[str, ...]
    compute: Columns
    event_time: str = "as_of"
    known_time: str = "known_at"
    ttl: timedelta | None = None

    def rows(self, gold: pl.DataFrame) -> pl.DataFrame:
        """The view's rows: entity, event time, known time, features."""
        kept = (self.entity, self.event_time, self.known_time, *self.features)
        return self.compute(gold.lazy()).select(kept).collect()


@dataclass(frozen=True)
class LabelView:
    """What was true of an entity at a time, 0 or 1: what a model learns to say.

    Attributes:
        label: the column that `compute` adds.
    """

    entity: str
    table: str
    label: str
    compute: Columns
    event_time: str = "as_of"
    known_time: str = "known_at"

    def rows(self, gold: pl.DataFrame) -> pl.DataFrame:
        """Entity, `at`, label: one row an entity and time, as known last (labels always come later than features)."""
        return (
            self.compute(gold.lazy())
            .sort(self.known_time, maintain_order=True)
            .unique([self.entity, self.event_time], keep="last", maintain_order=True)
            .select(self.entity, pl.col(self.event_time).alias("at"), pl.col(self.label).cast(pl.Int8))
            .sort(self.entity, "at")
            .collect()
        )
