"""Histograms in plain numbers, and the bounds that they have."""

from bisect import bisect_left
from itertools import accumulate

# What the GenAI semantic conventions advise: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
OPERATION_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_TOKEN_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
OUTPUT_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
TOKENS = tuple(4**power for power in range(14))

SECONDS = (0.005, *OPERATION_SECONDS, 163.84, 327.68, 655.36)
"""Of whole requests: the conventions' bounds, and some beyond for answers that are shorter or longer."""


class Histogram:
    """Counts over bounds; a value on a bound counts below it, as Prometheus and OpenTelemetry have it."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts, each with its upper bound, as Prometheus' client takes them."""
        return list(zip(map(str, (*self.bounds, "+Inf")), accumulate(self.counts), strict=True))

    def counts_over(self, bounds: tuple[float, ...]) -> list[int]:
        """The counts over some of the bounds."""
        counts = [0] * (len(bounds) + 1)
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            counts[bisect_left(bounds, bound)] += count
        return counts


def merged(histograms: list[Histogram], bounds: tuple[float, ...]) -> Histogram:
    """Several of the same bounds as one."""
    whole = Histogram(bounds)
    for histogram in histograms:
        whole.counts = [one + other for one, other in zip(whole.counts, histogram.counts, strict=True)]
        whole.sum += histogram.sum
    return whole
