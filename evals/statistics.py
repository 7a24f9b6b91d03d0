"""How certain a difference is, and what verdict follows from that.

One interval serves all metrics whose scores lie between known ends: Gaffke's, in Learned-Miller and Thomas's form. Each
end of it is a quantile of the mean under random Dirichlet weights on the observations and one more at the worst value
that could still come. For a share of yes and no it is Clopper and Pearson's exact interval; it assumes no normality,
and never shrinks to a point because a small suite happened to show no difference. That it covers is a conjecture
(simulations support it; ours stand in tests/evals/test_statistics.py), not a theorem.

Sources: Gaffke 2005, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
variable"; Learned-Miller and Thomas 2019, arXiv:1905.06208; Phan, Thomas and Learned-Miller 2021, arXiv:2106.03163.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sluice.errors import InvalidRequest
from sluice.promotion import Verdict

Floats = NDArray[np.float64]
Statistic = Callable[[NDArray[np.int64], Floats], float]
"""Of labels and scores, in scikit-learn's order: `roc_auc_score`."""

DRAWS = 10_000
"""The ends of an interval then move by about 3 % of its standard error from one seed to another."""
BLOCK = 2_000_000
"""Weights that are drawn at a time; for a suite of many thousand cases all of them would not fit into memory."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the two-sided confidence interval around it; `n` is the number of cases or rows."""

    estimate: float
    low: float
    high: float
    confidence: float
    n: int


def paired_interval(base: Sequence[float], head: Sequence[float], confidence: float = 0.95, seed: int = 0) -> Interval:
    """The mean of head - base over the same cases; all scores lie in [0, 1].

    The same scores and seed always give the same interval.

    Raises:
        InvalidRequest: the two differ in length, are empty, or hold a score that is not in [0, 1].
    """
    if len(base) != len(head):
        raise InvalidRequest(f"Base has {len(base)} scores and head {len(head)}: they are not of the same cases.")
    for scores in (base, head):
        if not all(0 <= score <= 1 for score in scores):  # false for NaN too
            raise InvalidRequest("A score is not a number from 0 to 1.")
    return mean_interval(np.subtract(head, base), (-1, 1), confidence, seed)


def mean_interval(
    values: Sequence[float] | Floats, ends: tuple[float, float] = (0, 1), confidence: float = 0.95, seed: int = 0
) -> Interval:
    """The mean of values that lie between `ends`.

    Raises:
        InvalidRequest: there are no values, or one that does not lie between the ends.
    """
    if len(values) == 0:
        raise InvalidRequest("There are no scores to take the mean of.")
    distinct, counts = np.unique(np.asarray(values, float), return_counts=True)
    if not (ends[0] <= distinct[0] and distinct[-1] <= ends[1]):  # false for NaN too, which comes last
        raise InvalidRequest(f"A score is not a number from {ends[0]} to {ends[1]}.")
    # Weights of equal values add up to a Dirichlet with their count, so a yes-or-no metric costs three columns.
    alpha, rng = [*counts, 1], np.random.default_rng(seed)
    means: list[Floats] = []
    for begin in range(0, DRAWS, rows := max(BLOCK // len(alpha), 1)):
        weights = rng.dirichlet(alpha, min(rows, DRAWS - begin))
        means.append(weights @ np.stack([np.append(distinct, end) for end in ends], axis=1))
    lowest, highest = np.concatenate(means).T
    tail = (1 - confidence) / 2
    low, high = float(np.quantile(lowest, tail)), float(np.quantile(highest, 1 - tail))
    return Interval(float(np.mean(values)), low, high, confidence, len(values))


def bootstrap_difference(
    statistic: Statistic,
    base_scores: Sequence[float] | Floats,
    head_scores: Sequence[float] | Floats,
    labels: Sequence[int] | NDArray[np.int64],
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = 2000,
    groups: Sequence[str] | None = None,
) -> Interval:
    """statistic(head) - statistic(base) on the same rows, for what is no mean over rows, such as AUC.

    A percentile bootstrap over rows, each drawn with both of its scores; without `groups` within each label, so both
    are in every resample in their true share. Meant for hundreds of rows: unlike `paired_interval`, it sees nothing
    beyond the rows that it is given, and has no width for two models that give every row the same score.

    Args:
        groups: what each row is about, where several rows are about the same (a customer's months). Such rows say little
            more than one of them, so they are drawn together, within the groups that ever have the higher label and
            those that never do. Drawn one by one, 95 % intervals over three alike months covered in 70 % of trials.

    Raises:
        InvalidRequest: the three differ in length, or the rows have one label only.
    """
    y = np.asarray(labels, np.int64)
    base, head = np.asarray(base_scores, float), np.asarray(head_scores, float)
    if not len(y) == len(base) == len(head):
        raise InvalidRequest(f"{len(y)} labels, {len(base)} base and {len(head)} head scores are not of the same rows.")
    if len(np.unique(y)) < 2:
        raise InvalidRequest("The rows have one label only, so nothing can be told apart.")
    of_row = np.arange(len(y)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    in_order, sizes = np.argsort(of_row, kind="stable"), np.bincount(of_row)
    starts = np.cumsum(sizes) - sizes
    highest = np.maximum.reduceat(y[in_order], starts)
    strata = [np.flatnonzero(highest == label) for label in np.unique(highest)]
    rng = np.random.default_rng(seed)
    differences = np.empty(resamples)
    for number in range(resamples):
        drawn = np.concatenate([rng.choice(stratum, len(stratum)) for stratum in strata])
        counts = sizes[drawn]
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = in_order[np.repeat(starts[drawn], counts) + within]
        differences[number] = statistic(y[rows], head[rows]) - statistic(y[rows], base[rows])
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return Interval(statistic(y, head) - statistic(y, base), float(low), float(high), confidence, len(y))


def judge_difference(interval: Interval, margin: float) -> Verdict:
    """The verdict on head - base, of which more is better, for a non-inferiority margin.

    - pass: all of the interval lies above -margin. Head is not worse by as much as the margin, whatever else it is;
      it may even be worse for certain, as long as that is certainly less than the margin.
    - fail: the interval lies below 0 and reaches -margin or beyond. Head is worse for certain, and nobody can say that
      it is so by less than the margin. An interval that lies below -margin as a whole is the clearest of these.
    - inconclusive: the interval holds both 0 and -margin. More cases are needed, not more luck.

    With a true difference of 0 a fail, and with one of -margin or worse a pass, each come with a probability of
    (1 - confidence) / 2 at most. The cases are those of figure 1 in Piaggio et al. 2012, "Reporting of noninferiority
    and equivalence randomized trials", JAMA 308(24); what is there "inconclusive, but significantly worse" blocks here.
    """
    if interval.low > -margin:
        return Verdict.PASS
    return Verdict.FAIL if interval.high < 0 else Verdict.INCONCLUSIVE


def judge_mean(interval: Interval, minimum: float) -> Verdict:
    """The verdict on a mean that stands alone: pass above the minimum for certain, fail below it for certain."""
    if interval.low >= minimum:
        return Verdict.PASS
    return Verdict.FAIL if interval.high < minimum else Verdict.INCONCLUSIVE


def cases_needed(differences: Sequence[float], margin: float, confidence: float) -> int | None:
    """About how many cases would let a harmless change pass, if they scatter like these; None where none would do.

    The larger of two needs: that the usual interval around 0 is narrower than the margin, and that a suite without any
    difference at all could have shown harm of its size.
    """
    if margin <= 0:
        return None
    tail = (1 - confidence) / 2
    spread = float(np.std(differences)) if len(differences) else 0.0
    usual = (NormalDist().inv_cdf(1 - tail) * spread / margin) ** 2
    unseen = math.log(tail) / math.log1p(-margin) if margin < 1 else 1
    return math.ceil(max(usual, unseen))
