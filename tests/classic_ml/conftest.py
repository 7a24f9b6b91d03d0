"""A lakehouse in a folder, and small churn files."""

import csv
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from classic_ml.churn import CHURN
from classic_ml.ingestion import Ingested, ingest
from classic_ml.lakehouse import Lakehouse
from sluice.home import Home
from tests.classic_ml.trained import trained, trained_template

__all__ = ["trained", "trained_template"]


JANUARY = datetime(2026, 1, 31, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 28, tzinfo=UTC)
MARCH = datetime(2026, 3, 31, tzinfo=UTC)

CUSTOMER_ROW = {
    "customerID": "7590-VHVEG",
    "gender": "Female",
    "SeniorCitizen": "0",
    "Partner": "Yes",
    "Dependents": "No",
    "tenure": "10",
    "PhoneService": "No",
    "MultipleLines": "No phone service",
    "InternetService": "DSL",
    "OnlineSecurity": "No",
    "OnlineBackup": "Yes",
    "DeviceProtection": "No",
    "TechSupport": "No",
    "StreamingTV": "No",
    "StreamingMovies": "No",
    "Contract": "Month-to-month",
    "PaperlessBilling": "Yes",
    "PaymentMethod": "Electronic check",
    "MonthlyCharges": "30.0",
    "TotalCharges": "290.0",
    "Churn": "No",
}

Rows = Iterable[Mapping[str, str]]


def customer(number: int, **cells: str) -> dict[str, str]:
    """A good row, with its cells replaced by these."""
    return CUSTOMER_ROW | {"customerID": f"{number:04d}-TESTS"} | cells


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def lakehouse(home: Home) -> Lakehouse:
    return Lakehouse(home.root / "lakehouse")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows to a CSV file: `write("a.csv", rows)`."""

    def write_rows(name: str, rows: Rows, columns: Iterable[str] = CUSTOMER_ROW) -> Path:
        path = tmp_path / name
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write_rows


@pytest.fixture
def load(lakehouse: Lakehouse, engine: Engine, home: Home) -> Callable[..., Ingested]:
    """`load(path, JANUARY)` ingests it; further arguments as `ingest` has them."""

    def load_file(path: Path, at: datetime, **arguments: object) -> Ingested:
        return ingest(path, CHURN, at, lakehouse=lakehouse, engine=engine, home=home, **arguments)

    return load_file
