"""How figures, intervals and verdicts are written, the same in every report."""

from evals.compare import MetricComparison, Pair
from evals.statistics import Interval
from sluice.promotion import Verdict

HEADLINES = {
    Verdict.PASS: "✅ pass",
    Verdict.FAIL: "❌ fail",
    Verdict.INCONCLUSIVE: "❔ inconclusive",
}
PLOT_WIDTH = 41
"""Odd, so that one character stands for 0."""


def share(number: float | None) -> str:
    """A mean score."""
    return "–" if number is None else f"{number:.3f}"


def interval(metric: MetricComparison) -> str:
    """The confidence interval, with its sign where it is of a difference."""
    found = metric.interval
    if found is None:
        return "–"
    form = "+.3f" if metric.base_mean is not None else ".3f"
    return f"[{found.low:{form}}, {found.high:{form}}]".replace("-", "−")


def difference(metric: MetricComparison) -> str:
    """Head - base."""
    if metric.interval is None or metric.base_mean is None:
        return "–"
    return f"{metric.interval.estimate:+.3f}".replace("-", "−")


def limit(metric: MetricComparison) -> str:
    """What the interval is held against."""
    if metric.limit is None:
        return "–"
    return f"−{metric.limit:g}" if metric.base_mean is not None else f"≥ {metric.limit:g}"


def verdict(metric: MetricComparison) -> str:
    """Its verdict, in brackets where it takes no part in the suite's."""
    return str(metric.verdict) if metric.gates else f"({metric.verdict}, shown only)"


def plot(found: Interval, margin: float, width: int = PLOT_WIDTH) -> str:
    """A difference as a line of text: `├──●──┤` is the interval, `│` is 0 and `┊` the margin, at one scale."""
    reach = max(abs(found.low), abs(found.high), margin) * 1.1 or 1.0

    def place(value: float) -> int:
        return round((value + reach) / (2 * reach) * (width - 1))

    cells = [" "] * width
    cells[place(-margin)], cells[place(0)] = "┊", "│"
    low, high = place(found.low), place(found.high)
    for number in range(low, high + 1):
        cells[number] = "┼" if cells[number] != " " else "─"
    cells[low], cells[high], cells[place(found.estimate)] = "├", "┤", "●"
    return "".join(cells)


def regressions(metric: MetricComparison, most: int) -> list[Pair]:
    """The cases that lost most, worst first; those that head could not score are among them."""
    lost = [pair for pair in metric.pairs if pair.difference is not None and pair.difference < 0]
    return sorted(lost, key=lambda pair: (pair.difference, pair.case_id))[:most]
