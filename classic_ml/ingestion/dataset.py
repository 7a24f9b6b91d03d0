"""What a dataset is: its file's columns, what is expected of its rows, and how silver and gold come from them."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from classic_ml.quality import Expectation

LOADED = ("file", "row", "as_of", "known_at")
"""What each layer keeps of a row's way here: the file's hash, its place there (from 1), the time it tells of, and when it
came to be known."""


@dataclass(frozen=True)
class Dataset:
    """Rows about one kind of entity, delivered as CSV files, each the state of a day.

    Attributes:
        name: its table's name in every layer.
        columns: the file's, in any order.
        key: the column that names the entity in the file.
        entity: the same column in silver and gold.
        silver: types the rows that passed; keeps `LOADED`.
        gold: makes silver rows ready for models; keeps the entity and `LOADED`.
    """

    name: str
    columns: tuple[str, ...]
    key: str
    entity: str
    expectations: tuple[Expectation, ...]
    silver: Callable[[pl.DataFrame], pl.DataFrame]
    gold: Callable[[pl.DataFrame], pl.DataFrame]
