"""Drift is what is both more than chance and large enough to matter."""

import numpy as np
import polars as pl
import pytest

from classic_ml.monitoring.drift import Severity, check_drift
from classic_ml.settings import MonitoringSettings
from sluice.errors import InvalidRequest

SETTINGS = MonitoringSettings()


def frame(rows: int, seed: int, *, shift: float = 0, share: float = 0.5, missing: float = 0) -> pl.DataFrame:
    chance = np.random.default_rng(seed)
    numbers = [None if chance.random() < missing else value for value in chance.normal(shift, 1, rows)]
    return pl.DataFrame(
        {
            "number": pl.Series(numbers, dtype=pl.Float64),
            "text": chance.choice(["a", "b"], rows, p=[share, 1 - share]),
            "flag": chance.random(rows) < 0.3,
            "steady": np.zeros(rows),
        }
    )


def severities(reference: pl.DataFrame, current: pl.DataFrame) -> dict[str, str]:
    report = check_drift(reference, current, reference.columns, SETTINGS)
    return {feature.name: str(feature.severity) for feature in report.features}


@pytest.mark.parametrize("rows", [60, 1_000, 100_000])
def test_what_only_varies_by_chance_never_drifts(rows: int) -> None:
    for seed in range(10):
        found = severities(frame(rows, seed), frame(rows, 1000 + seed))
        assert set(found.values()) == {"info"}, seed


def test_a_trifle_does_not_matter_however_certain_it_is() -> None:
    report = check_drift(frame(200_000, 1), frame(200_000, 2, shift=0.05), ["number"], SETTINGS)
    assert report.features[0].p_value < 1e-6
    assert report.severity == Severity.INFO


@pytest.mark.parametrize("rows", [1_000, 50_000])
def test_the_tier_of_a_change_does_not_depend_on_how_many_rows_there_are(rows: int) -> None:
    before = frame(rows, 1)
    assert severities(before, frame(rows, 2, shift=0.4))["number"] == "warning"
    assert severities(before, frame(rows, 2, shift=1))["number"] == "critical"
    assert severities(before, frame(rows, 2, share=0.72))["text"] == "warning"
    assert severities(before, frame(rows, 2, share=0.9))["text"] == "critical"
    assert severities(before, frame(rows, 2, missing=0.4))["number"] == "critical"


def test_a_category_that_was_never_seen_counts() -> None:
    before, now = frame(1_000, 1), frame(1_000, 2).with_columns(text=pl.lit("new"))
    report = check_drift(before, now, ["text", "steady"], SETTINGS)
    assert [feature.name for feature in report.drifted] == ["text"]
    assert report.features[0].bins == ("a", "b", "new")
    assert report.features[0].current == (0, 0, 1)


def test_what_is_no_number_is_missing() -> None:
    before, now = (frame(1_000, seed, missing=share) for seed, share in ((1, 0), (2, 0.4)))
    as_nan = now.with_columns(pl.col("number").fill_null(float("nan")))
    assert check_drift(before, as_nan, ["number"], SETTINGS) == check_drift(before, now, ["number"], SETTINGS)
    assert severities(before, as_nan)["number"] == "critical"


def test_more_features_do_not_raise_more_false_alarms() -> None:
    chance = np.random.default_rng(0)
    before, now = (pl.DataFrame({f"f{place}": chance.normal(size=300) for place in range(200)}) for _ in range(2))
    report = check_drift(before, now, before.columns, SETTINGS.model_copy(update={"warning": 0.0}))
    assert not report.drifted


def test_data_that_cannot_be_compared() -> None:
    with pytest.raises(InvalidRequest, match="no rows"):
        check_drift(frame(10, 1), frame(0, 1), ["number"], SETTINGS)
    with pytest.raises(InvalidRequest, match="current data has no feature 'number'"):
        check_drift(frame(10, 1), frame(10, 1).drop("number"), ["number"], SETTINGS)
