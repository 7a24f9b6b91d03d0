"""Expectations about a row of bronze, which is all text."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Expectation:
    """Something that must hold of each row.

    Attributes:
        reason: what is said of a row of which it does not.
        holds: an expression over bronze's columns.
    """

    reason: str
    holds: pl.Expr


def text(column: str) -> pl.Expr:
    """A cell's text without the blanks around it; empty where there is none."""
    return pl.col(column).str.strip_chars().fill_null("")


def as_number(column: str) -> pl.Expr:
    """A cell as a finite number, null where it is none."""
    value = text(column).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def as_whole_number(column: str) -> pl.Expr:
    """A cell as a whole number, null where it is none."""
    return text(column).cast(pl.Int64, strict=False)


def filled(column: str) -> Expectation:
    """The cell is not blank."""
    return Expectation(f"{column} is blank", text(column) != "")


def one_of(column: str, values: Sequence[str]) -> Expectation:
    """The cell is one of these."""
    return Expectation(f"{column} is none of: {', '.join(values)}", text(column).is_in(values))


def whole_number(column: str, low: int, high: int) -> tuple[Expectation, Expectation]:
    """The cell is a whole number within these bounds."""
    value = as_whole_number(column)
    return (
        Expectation(f"{column} is not a whole number", value.is_not_null()),
        Expectation(f"{column} is not between {low} and {high}", value.is_null() | value.is_between(low, high)),
    )


def number(column: str, low: float, high: float, *, blank: bool = False) -> tuple[Expectation, Expectation]:
    """The cell is a number within these bounds, or blank where that is allowed."""
    value = as_number(column)
    is_number = value.is_not_null() | (text(column) == "") if blank else value.is_not_null()
    return (
        Expectation(f"{column} is not a number", is_number),
        Expectation(f"{column} is not between {low:g} and {high:g}", value.is_null() | value.is_between(low, high)),
    )
