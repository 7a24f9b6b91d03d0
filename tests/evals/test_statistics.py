"""The interval covers what it says, small suites stay uncertain, and the verdict follows the rule."""

import tracemalloc
from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from evals import statistics
from evals.statistics import (
    Interval,
    bootstrap_difference,
    cases_needed,
    judge_difference,
    judge_mean,
    mean_interval,
    paired_interval,
)
from sluice.errors import InvalidRequest
from sluice.promotion import Verdict

REPEATS = 200


def binary(rng: np.random.Generator, n: int, base: float, broken: float, mended: float) -> tuple[list[float], ...]:
    """Pairs of 0 and 1: of base's right answers a share breaks, of its wrong ones a share is mended."""
    before = rng.random(n) < base
    after = np.where(before, rng.random(n) >= broken, rng.random(n) < mended)
    return before.astype(float).tolist(), after.astype(float).tolist()


def shares(rng: np.random.Generator, n: int) -> tuple[list[float], ...]:
    """Pairs like token F1: many exactly 0 or 1, the rest between; head 0.1 worse on average."""
    before = np.where(rng.random(n) < 0.5, 1.0, rng.random(n))
    after = np.where(rng.random(n) < 2 / 15, 0.0, before)
    return before.tolist(), after.tolist()


@pytest.mark.parametrize("n", [12, 40])
@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng, n: binary(rng, n, 0.85, 0.0, 0.0), 0.0),
        (lambda rng, n: binary(rng, n, 0.85, 0.05, 0.0), -0.0425),
        (lambda rng, n: binary(rng, n, 0.85, 0.3, 0.1), -0.24),
        (lambda rng, n: binary(rng, n, 0.98, 0.02, 0.98), 0.0),
        (shares, -0.1),
    ],
)
def test_the_interval_covers_the_truth_as_often_as_it_says(
    draw: Callable[[np.random.Generator, int], tuple[list[float], list[float]]], truth: float, n: int
):
    intervals = [paired_interval(*draw(np.random.default_rng([seed, n]), n)) for seed in range(REPEATS)]
    missed_low = np.mean([truth < one.low for one in intervals])
    missed_high = np.mean([truth > one.high for one in intervals])
    # 2.5 % on each side, and what chance adds in so many repeats (three standard errors).
    assert missed_low <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / REPEATS)
    assert missed_high <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / REPEATS)


@pytest.mark.parametrize(("yes", "n"), [(0, 12), (1, 20), (17, 20), (12, 12), (50, 100)])
def test_for_yes_and_no_it_is_the_exact_binomial_interval(yes: int, n: int):
    interval = mean_interval([1.0] * yes + [0.0] * (n - yes))
    low = beta.ppf(0.025, yes, n - yes + 1) if yes else 0.0
    high = beta.ppf(0.975, yes + 1, n - yes) if yes < n else 1.0
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.01)


@pytest.mark.parametrize("n", [1, 12, 20, 60])
def test_no_difference_in_a_small_suite_is_no_certainty(n: int):
    interval = paired_interval([1.0] * n, [1.0] * n)
    most = 1 - 0.025 ** (1 / n)  # harm of that size stays unseen in n cases with a probability of 2.5 %
    assert interval.low == pytest.approx(-most, abs=0.02)
    assert interval.high == pytest.approx(most, abs=0.02)
    assert judge_difference(interval, 0.05) == Verdict.INCONCLUSIVE


def test_the_same_scores_give_the_same_interval_and_more_cases_a_narrower_one():
    base, head = binary(np.random.default_rng(1), 200, 0.8, 0.2, 0.2)
    assert paired_interval(base, head) == paired_interval(base, head)
    few = paired_interval(base[:50], head[:50])
    many = paired_interval(base, head)
    assert many.high - many.low < few.high - few.low
    assert many.estimate == pytest.approx(np.mean(head) - np.mean(base))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, Verdict.PASS),
        (-0.04, 0.2, Verdict.PASS),
        (-0.04, -0.01, Verdict.PASS),
        (-0.05, 0.2, Verdict.INCONCLUSIVE),
        (-0.3, 0.0, Verdict.INCONCLUSIVE),
        (-0.3, -0.01, Verdict.FAIL),
        (-0.3, -0.1, Verdict.FAIL),
    ],
)
def test_the_three_way_rule(low: float, high: float, verdict: Verdict):
    assert judge_difference(Interval((low + high) / 2, low, high, 0.95, 50), 0.05) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.8, 0.9, Verdict.PASS), (0.7, 0.9, Verdict.INCONCLUSIVE), (0.5, 0.79, Verdict.FAIL)],
)
def test_a_mean_that_stands_alone_is_held_against_its_minimum(low: float, high: float, verdict: Verdict):
    assert judge_mean(Interval(0.8, low, high, 0.95, 50), 0.8) == verdict


def test_harm_at_the_margin_passes_no_more_often_than_the_confidence_allows():
    passed = 0
    for seed in range(REPEATS):
        interval = paired_interval(*binary(np.random.default_rng([seed, 7]), 100, 0.85, 0.05 / 0.85, 0.0))
        passed += judge_difference(interval, 0.05) == Verdict.PASS
    assert passed / REPEATS <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / REPEATS)


@pytest.mark.parametrize(
    ("base", "head"), [([], []), ([1.0], [1.0, 0.0]), ([1.0], [float("nan")]), ([1.0], [1.5]), ([-0.1], [1.0])]
)
def test_what_are_no_paired_scores_is_refused(base: list[float], head: list[float]):
    with pytest.raises(InvalidRequest):
        paired_interval(base, head)


@pytest.mark.parametrize("values", [[], [0.5, float("nan")], [float("inf")], [0.5, 1.1], [-0.1]])
def test_what_has_no_mean_between_the_ends_is_refused(values: list[float]):
    with pytest.raises(InvalidRequest):
        mean_interval(values)


def test_a_huge_suite_fits_into_memory_and_gets_the_same_interval(monkeypatch: pytest.MonkeyPatch):
    values = np.random.default_rng(5).random(2_000)
    monkeypatch.setattr(statistics, "BLOCK", 10**9)
    whole = mean_interval(values)
    monkeypatch.setattr(statistics, "BLOCK", 200_000)
    tracemalloc.start()
    assert astuple(mean_interval(values)) == pytest.approx(astuple(whole))
    assert tracemalloc.get_traced_memory()[1] < 20_000_000  # all draws together: 160 million
    tracemalloc.stop()


def test_the_cases_needed_are_about_enough():
    base, head = binary(np.random.default_rng(3), 2000, 0.85, 0.05, 0.28)
    needed = cases_needed((np.subtract(head, base)).tolist(), 0.05, 0.95)
    assert needed is not None
    interval = paired_interval(base[:needed], head[:needed])
    assert (interval.high - interval.low) / 2 == pytest.approx(0.05, rel=0.35)
    assert cases_needed([0.0] * 10, 0.05, 0.95) == 72
    assert cases_needed([0.0] * 10, 0.0, 0.95) is None


def rows(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(int)
    return labels, labels + rng.normal(0, 1.0, n), labels + rng.normal(0, 1.6, n)


def test_a_bootstrapped_difference_covers_the_truth():
    labels, base, head = rows(99, 200_000)
    truth = roc_auc_score(labels, head) - roc_auc_score(labels, base)
    covered = 0
    for seed in range(60):
        labels, base, head = rows(seed)
        interval = bootstrap_difference(roc_auc_score, base, head, labels, resamples=100, seed=seed)
        covered += interval.low <= truth <= interval.high
    assert covered >= 52  # 57 of 60 expected; fewer than 52 once in a hundred times


def test_rows_about_the_same_are_drawn_together():
    """Three copies of each row say no more than one."""
    chance = np.random.default_rng(0)
    labels = chance.integers(0, 2, 400)
    base, head = (labels + chance.normal(size=400) for _ in range(2))
    names = [f"c{number}" for number in range(400)]

    def width(months: int, groups: list[str] | None) -> float:
        before, after, truth = np.tile(base, months), np.tile(head, months), np.tile(labels, months)
        interval = bootstrap_difference(roc_auc_score, before, after, truth, resamples=200, groups=groups)
        return interval.high - interval.low

    assert width(1, sorted(names)) == pytest.approx(width(1, None), rel=0.15)
    assert width(3, names * 3) == pytest.approx(width(1, names))
    assert width(3, None) < 0.7 * width(1, None)


def test_rows_of_one_label_are_refused():
    with pytest.raises(InvalidRequest, match="one label"):
        bootstrap_difference(roc_auc_score, [0.1, 0.2], [0.1, 0.2], [1, 1])
    with pytest.raises(InvalidRequest, match="not of the same rows"):
        bootstrap_difference(roc_auc_score, [0.1, 0.2], [0.1], [1, 0])
