"""The page of a report, whatever stands in the data."""

import json

import polars as pl
import pytest

from classic_ml.monitoring.drift import check_drift
from classic_ml.monitoring.report import as_html, as_json
from classic_ml.settings import MonitoringSettings


@pytest.mark.parametrize(
    "value", ["$x$", "$\\frac$", "<script>alert(1)</script>", "x" * 100_000], ids=["money", "tex", "script", "long"]
)
def test_names_and_values_are_only_text(value: str) -> None:
    before, now = pl.DataFrame({value: ["a"] * 50}), pl.DataFrame({value: [value] * 50})
    report = check_drift(before, now, [value], MonitoringSettings())
    page = as_html("Drift", report)
    assert "data:image/png" in page
    assert "<script" not in page
    assert json.loads(as_json(report))["features"][0]["bins"] == sorted(["a", value])


def test_of_very_many_values_those_that_changed_most_are_plotted() -> None:
    before = pl.DataFrame({"id": [f"old {number}" for number in range(2_000)] + ["same"] * 2_000})
    now = pl.DataFrame({"id": ["new"] * 2_000 + ["same"] * 2_000})
    page = as_html("Drift", check_drift(before, now, ["id"], MonitoringSettings()))
    assert 1_000 < len(page) < 60_000
