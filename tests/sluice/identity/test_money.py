import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import InvalidRequest
from sluice.identity.budgets import MOST
from sluice.identity.money import DIGITS, NANO, read_money, show_money


@pytest.mark.parametrize(
    ("written", "meant"),
    [("25.50", 25_500_000_000), ("25", 25 * NANO), ("0.000000001", 1), ("1e3", 1000 * NANO), (".5", NANO // 2)],
)
def test_money_is_read(written: str, meant: int) -> None:
    assert read_money(written) == meant


@pytest.mark.parametrize(
    "written", ["", "x", "1,5", "NaN", "Infinity", "-Infinity", "0.0000000001", "1e999999999", "1e-999", "9" * 19, "€5"]
)
def test_what_is_no_money_is_refused(written: str) -> None:
    with pytest.raises(InvalidRequest, match="is no amount of money"):
        read_money(written)


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (25_500_000_000, "25.50"),
        (0, "0.00"),
        (1, "0.00"),
        (125_000, "0.000125"),
        (NANO, "1.00"),
        (MOST, "9007199.254741"),
    ],
)
def test_money_is_shown_with_two_to_six_digits(nano: int, shown: str) -> None:
    assert show_money(nano) == shown


@given(st.integers(0, MOST))
def test_what_is_shown_in_full_is_read_again(nano: int) -> None:
    assert read_money(show_money(nano, DIGITS)) == nano
