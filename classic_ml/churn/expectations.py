"""What must hold of a customer's row. `TotalCharges` may be blank: the source leaves it so before the first bill."""

from classic_ml.churn.schema import CATEGORIES, ID, INTERNET_EXTRAS, NO_INTERNET, NO_PHONE
from classic_ml.quality import Expectation, filled, number, one_of, whole_number
from classic_ml.quality.expectation import as_number, as_whole_number, text

LONGEST_TENURE = 600
"""Months; fifty years."""
HIGHEST_MONTHLY = 1_000
HIGHEST_TOTAL = LONGEST_TENURE * HIGHEST_MONTHLY


def _agrees(column: str, service: str, without: str) -> Expectation:
    """A cell says that the service is missing exactly where it is."""
    agrees = (text(column) == without) == (text(service) == "No")
    known = text(column).is_in(CATEGORIES[column]) & text(service).is_in(CATEGORIES[service])
    return Expectation(f"{column} contradicts {service}", ~known | agrees)


EXPECTATIONS: tuple[Expectation, ...] = (
    filled(ID),
    *(one_of(column, values) for column, values in CATEGORIES.items()),
    *whole_number("tenure", 0, LONGEST_TENURE),
    *number("MonthlyCharges", 0, HIGHEST_MONTHLY),
    *number("TotalCharges", 0, HIGHEST_TOTAL, blank=True),
    _agrees("MultipleLines", "PhoneService", NO_PHONE),
    *(_agrees(column, "InternetService", NO_INTERNET) for column in INTERNET_EXTRAS),
    Expectation(
        "TotalCharges without a month of tenure",
        (as_whole_number("tenure") != 0).fill_null(True) | (as_number("TotalCharges").fill_null(0) <= 0),
    ),
)
