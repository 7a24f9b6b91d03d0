"""How much each feature changed, whether that is more than chance, and how much that matters.

Two questions that drift tools tend to mix. *Is it chance?* Kolmogorov and Smirnov's test for numbers, the chi-squared
test for categories; their p-values are adjusted for how many features were looked at (Holm 1979), so that a report on
many features raises no more false alarms than one on a few. *Does it matter?* The population stability index, less what
chance alone gives it with this many rows (Yurdakul and Naranjo 2020: bins - 1 times 1/n + 1/m), so that neither a large
sample makes a trifle matter nor a small one a scare. A change is drift only if both answers say so.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classic_ml.settings import MonitoringSettings
from sluice.errors import InvalidRequest

if TYPE_CHECKING:
    import polars as pl

BINS = 10
SMALLEST_SHARE = 1e-4
"""Takes the place of an empty bin, whose logarithm would be infinite."""


class Severity(IntEnum):
    """The tier of a change: nothing to do, look at it, act."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's change.

    Attributes:
        test: `ks` or `chi2`.
        p_value: adjusted for the number of features.
        psi: population stability index, without what chance gives it.
        bins: what is counted: ranges of numbers, categories, missing values.
        reference, current: the share of rows in each bin.
    """

    name: str
    test: str
    p_value: float
    psi: float
    severity: Severity
    bins: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


@dataclass(frozen=True)
class DriftReport:
    """The changes of all features, the greatest first; `rows` counts reference and current."""

    features: tuple[FeatureDrift, ...]
    rows: tuple[int, int]

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """Those that are more than information."""
        return tuple(feature for feature in self.features if feature.severity > Severity.INFO)

    @property
    def severity(self) -> Severity:
        """That of the greatest change."""
        return max((feature.severity for feature in self.features), default=Severity.INFO)


def check_drift(
    reference: "pl.DataFrame", current: "pl.DataFrame", features: Sequence[str], settings: MonitoringSettings
) -> DriftReport:
    """Compare two frames, feature by feature. A prediction is one more column to compare.

    Raises:
        InvalidRequest: one of them has no rows, or lacks a feature.
    """
    for name, frame in (("reference", reference), ("current", current)):
        if frame.is_empty():
            raise InvalidRequest(f"The {name} data has no rows.")
        if missing := [feature for feature in features if feature not in frame.columns]:
            raise InvalidRequest(f"The {name} data has no feature '{missing[0]}'.")
    compared = [_compare(name, reference[name], current[name]) for name in features]
    adjusted = _holm([p_value for _, p_value, *_ in compared])
    found = [
        FeatureDrift(name, test, p_value, psi, _severity(p_value, psi, settings), bins, base, head)
        for name, (test, _, psi, bins, base, head), p_value in zip(features, compared, adjusted, strict=True)
    ]
    ordered = sorted(found, key=lambda feature: (-feature.severity, -feature.psi))
    return DriftReport(tuple(ordered), (reference.height, current.height))


def _severity(p_value: float, psi: float, settings: MonitoringSettings) -> Severity:
    if p_value >= settings.significance or psi < settings.warning:
        return Severity.INFO
    return Severity.CRITICAL if psi >= settings.critical else Severity.WARNING


_Compared = tuple[str, float, float, tuple[str, ...], tuple[float, ...], tuple[float, ...]]


def _compare(name: str, reference: "pl.Series", current: "pl.Series") -> _Compared:
    """Test, p-value, stability index, bins, and the shares in them."""
    reference, current = _without_nan(reference), _without_nan(current)
    numeric = reference.dtype.is_numeric() and reference.n_unique() > BINS
    if numeric:
        bins, counts = _count_ranges(reference, current)
    else:
        bins, counts = _count_values(reference, current)
    test, p_value = ("ks", _ks(reference, current)) if numeric else ("chi2", _chi2(counts))
    shares = counts / counts.sum(axis=1, keepdims=True)
    base, head = (tuple(float(share) for share in row) for row in shares)
    return test, p_value, _stability_index(counts, shares), bins, base, head


def _without_nan(series: "pl.Series") -> "pl.Series":
    """What is no number is missing: compared, it would be neither less nor more than anything."""
    return series.fill_nan(None) if series.dtype.is_float() else series


def _count_ranges(reference: "pl.Series", current: "pl.Series") -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """By the reference's deciles, and missing values."""
    numbers = [series.drop_nulls().to_numpy().astype(float) for series in (reference, current)]
    edges = np.unique(np.quantile(numbers[0], np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) for values in numbers]
    shown = [f"{edge:.4g}" for edge in edges]
    bins = (f"< {shown[0]}", *(f"{a} – {b}" for a, b in itertools.pairwise(shown)), f"≥ {shown[-1]}")
    return _with_missing(bins, np.array(counts), reference, current)


def _count_values(reference: "pl.Series", current: "pl.Series") -> tuple[tuple[str, ...], NDArray[np.int64]]:
    found = [Counter(str(value) for value in series.drop_nulls()) for series in (reference, current)]
    bins = tuple(sorted(found[0] | found[1]))
    return _with_missing(bins, np.array([[count[name] for name in bins] for count in found]), reference, current)


def _with_missing(
    bins: tuple[str, ...], counts: NDArray[np.int64], reference: "pl.Series", current: "pl.Series"
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    missing = np.array([[reference.null_count()], [current.null_count()]])
    return ((*bins, "missing"), np.hstack([counts, missing])) if missing.any() else (bins, counts)


def _stability_index(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> float:
    base, head = np.maximum(shares, SMALLEST_SHARE)
    index = float(((head - base) * np.log(head / base)).sum())
    by_chance = (counts.shape[1] - 1) * (1 / counts[0].sum() + 1 / counts[1].sum())
    return max(0.0, index - float(by_chance))


def _ks(reference: "pl.Series", current: "pl.Series") -> float:
    from scipy.stats import ks_2samp

    # A missing value counts as the lowest, so that a change in how many are missing shows.
    before, now = (series.cast(float).fill_null(-np.inf).to_numpy() for series in (reference, current))
    result: Any = ks_2samp(before, now, method="asymp")
    return float(result.pvalue)


def _chi2(counts: NDArray[np.int64]) -> float:
    from scipy.stats import chi2_contingency

    seen = counts[:, counts.sum(axis=0) > 0]
    result: Any = chi2_contingency(seen) if seen.shape[1] > 1 else None
    return 1.0 if result is None else float(result.pvalue)


def _holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted so that the chance of any false alarm among all of them is the one asked for."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = largest
    return adjusted
