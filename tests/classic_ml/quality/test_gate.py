import polars as pl

from classic_ml.quality import filled, judge, number, one_of, whole_number
from classic_ml.quality.gate import REPEATED

EXPECTATIONS = (
    filled("id"),
    one_of("plan", ["a", "b"]),
    *whole_number("age", 0, 120),
    *number("pay", 0, 10, blank=True),
)


def rows(*cells: tuple[str | None, str | None, str | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame(cells, dict.fromkeys(("id", "plan", "age", "pay"), pl.String), orient="row")


def reasons_of(*cells: tuple[str | None, str | None, str | None, str | None]) -> list[list[str]]:
    return judge(rows(*cells), EXPECTATIONS, "id").quarantined["reasons"].to_list()


def test_good_rows_pass_with_blanks_around_their_cells() -> None:
    good = rows(("x", "a", "0", "0"), (" y ", " b", "120 ", " "), ("z", "a", "7", "9.5"))
    gated = judge(good, EXPECTATIONS, "id")
    assert gated.accepted.equals(good)
    assert (gated.quarantined.height, gated.rejected, gated.counts) == (0, 0, {})


def test_a_row_has_all_its_reasons() -> None:
    assert reasons_of((" ", "c", "old", "-1")) == [
        ["id is blank", "plan is none of: a, b", "age is not a whole number", "pay is not between 0 and 10"]
    ]


def test_what_is_no_number_is_said_so_and_not_out_of_bounds_too() -> None:
    for cell in ("x", "NaN", "inf", "1,5"):
        assert reasons_of(("x", "a", "1", cell)) == [["pay is not a number"]]
    for cell in ("", None, "1.5", "99999999999999999999"):
        assert reasons_of(("x", "a", cell, "1")) == [["age is not a whole number"]]
    assert reasons_of(("x", "a", "121", "1")) == [["age is not between 0 and 120"]]


def test_of_rows_with_one_key_the_last_good_one_is_taken() -> None:
    gated = judge(
        rows(("x", "a", "1", "1"), ("x ", "a", "2", "1"), ("x", "a", "-3", "1"), ("y", "a", "4", "1")),
        EXPECTATIONS,
        "id",
    )
    assert gated.accepted["age"].to_list() == ["2", "4"]
    assert dict(gated.quarantined.select("age", "reasons").iter_rows()) == {
        "1": [REPEATED],
        "-3": ["age is not between 0 and 120", REPEATED],
    }
    assert gated.rejected == 1
    assert gated.counts == {REPEATED: 2, "age is not between 0 and 120": 1}


def test_rows_without_a_key_repeat_nothing() -> None:
    assert reasons_of(("", "a", "1", "1"), ("", "a", "2", "1")) == [["id is blank"], ["id is blank"]]
