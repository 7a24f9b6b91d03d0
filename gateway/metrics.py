"""Prometheus metrics of the gateway, with label sets bounded by the configuration.

A request is counted in plain numbers, in a microsecond; Prometheus' own objects are made when somebody scrapes. The
client library's counters, each behind a lock, would cost a request five times that.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.tokens import TokenUsage

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Durations:
    """A histogram over `SECONDS`; a duration on a bound counts below it, as Prometheus has it."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts, each with its upper bound."""
        total = 0
        rows: list[tuple[str, float]] = []
        for bound, count in zip((*SECONDS, "+Inf"), self.counts, strict=True):
            total += count
            rows.append((str(bound), total))
        return rows


@dataclass(slots=True)
class Totals:
    """What one model did on one endpoint."""

    by_status: dict[int, int] = field(default_factory=dict[int, int])
    prompt_tokens: int = 0
    completion_tokens: int = 0
    duration: Durations = field(default_factory=Durations)
    first_byte: Durations = field(default_factory=Durations)

    def add(self, status: int, duration: float, first_byte: float | None, usage: TokenUsage) -> None:
        """Count a request that ended; times in seconds."""
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.duration.add(duration)
        if first_byte is not None:
            self.first_byte.add(first_byte)
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens or 0


class Metrics(Collector):
    """All that the gateway counts. Counting belongs to the event loop; scraping may happen there or in a thread.

    Attributes:
        gauges: name, description and how to read it, for what is not counted but looked at.
    """

    def __init__(self) -> None:
        self._totals: dict[tuple[str, str], Totals] = {}
        self._decisions: dict[tuple[str, str, str, str], int] = {}
        self._deciding = Lock()  # a long answer is checked in a thread
        self.gauges: list[tuple[str, str, Callable[[], float]]] = []

    def totals_of(self, model: str, endpoint: str) -> Totals:
        """Where to count a request; an unknown model is the empty name, never a label of its own."""
        totals = self._totals.get((model, endpoint))
        if totals is None:
            totals = self._totals[model, endpoint] = Totals()
        return totals

    def count_decision(self, policy: str, side: str, validator: str, action: str, count: int) -> None:
        """Count what a guardrail policy decided."""
        key = (policy, side, validator, action)
        with self._deciding:
            self._decisions[key] = self._decisions.get(key, 0) + count

    def collect(self) -> Iterator[Metric]:
        """Called by Prometheus' client for each scrape."""
        labels = ("model", "endpoint")
        requests = CounterMetricFamily("sluice_requests", "Requests that ended.", labels=(*labels, "status"))
        tokens = CounterMetricFamily("sluice_tokens", "Tokens, as the upstream counted.", labels=(*labels, "kind"))
        duration = HistogramMetricFamily("sluice_request_seconds", "Time to the end of the answer.", labels=labels)
        first_byte = HistogramMetricFamily(
            "sluice_first_byte_seconds", "Time to the head of the upstream's answer.", labels=labels
        )
        for key, totals in list(self._totals.items()):
            for status, count in list(totals.by_status.items()):
                requests.add_metric([*key, str(status)], count)
            tokens.add_metric([*key, "prompt"], totals.prompt_tokens)
            tokens.add_metric([*key, "completion"], totals.completion_tokens)
            duration.add_metric(key, totals.duration.buckets(), totals.duration.sum)
            first_byte.add_metric(key, totals.first_byte.buckets(), totals.first_byte.sum)
        decisions = CounterMetricFamily(
            "sluice_guardrail_decisions",
            "Violations that a guardrail policy blocked or redacted.",
            labels=("policy", "side", "validator", "action"),
        )
        for labels, count in list(self._decisions.items()):
            decisions.add_metric(labels, count)
        yield from (requests, tokens, duration, first_byte, decisions)
        for name, description, read in self.gauges:
            yield GaugeMetricFamily(name, description, value=read())
