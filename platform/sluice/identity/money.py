"""Money: whole billionths of the currency that the prices are in, read from and written as decimals."""

from decimal import Decimal, InvalidOperation

from sluice.errors import InvalidRequest

NANO = 10**9
DIGITS = 9
"""After the point, in a billionth."""


def read_money(text: str) -> int:
    """Billionths of the currency, from a decimal such as `25.50`.

    Raises:
        InvalidRequest: it is none, or has more than nine digits after the point.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    # By its digits and exponent: `1e999999` must not become a number of a million digits.
    _, digits, exponent = amount.as_tuple()
    if not isinstance(exponent, int) or not -DIGITS <= exponent <= DIGITS or len(digits) > 2 * DIGITS:
        raise InvalidRequest(
            f"'{text[:64]}' is no amount of money.",
            fix="Write for instance 25.50, with at most 9 digits after the point.",
        )
    return int(amount.scaleb(DIGITS))


def show_money(nano: int, digits: int = 6) -> str:
    """`25.50`: at least two digits after the point, and as many more, up to `digits`, as it has."""
    whole, _, rest = f"{Decimal(nano).scaleb(-DIGITS):.{digits}f}".partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"
