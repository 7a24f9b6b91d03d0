"""Prometheus metrics of the gateway, with label sets bounded by the configuration.

A request is counted in plain numbers, in two microseconds; Prometheus' own objects are made when somebody scrapes, and
OpenTelemetry's when they are sent (`gateway.telemetry.metrics`). The client library's counters, each behind a lock, would
cost a request five times that.
"""

from collections.abc import Callable, Iterator
from threading import Lock

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.telemetry.error_codes import OTHER, known_codes
from gateway.telemetry.histogram import (
    FIRST_TOKEN_SECONDS,
    OUTPUT_TOKEN_SECONDS,
    SECONDS,
    TOKENS,
    Histogram,
    merged,
)
from gateway.telemetry.loop_wait import LoopWait
from gateway.tokens import TokenUsage

Gauge = tuple[str, str, Callable[[], float]]
"""What is not counted but looked at: its name, its description, and how to read it."""


class Totals:
    """What one model did on one endpoint.

    Attributes:
        durations: by error code; the empty one is success.
        first_byte: to the head of the upstream's answer; `first_token`: of streams, to the first event.
        output_token: of streams, for each token after the first.
        cached_tokens: of the prompt tokens, those that the engine had in its prefix cache.
    """

    __slots__ = (
        *("by_status", "cached_tokens", "durations", "first_byte", "first_token", "output_token"),
        *("completion_tokens", "prompt_tokens"),
    )

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self.durations: dict[str, Histogram] = {}
        self.first_byte = Histogram(SECONDS)
        self.first_token = Histogram(FIRST_TOKEN_SECONDS)
        self.output_token = Histogram(OUTPUT_TOKEN_SECONDS)
        self.prompt_tokens = Histogram(TOKENS)
        self.completion_tokens = Histogram(TOKENS)
        self.cached_tokens = 0

    def add(
        self,
        status: int,
        code: str,
        duration: float,
        first_byte: float | None,
        first_token: float | None,
        usage: TokenUsage,
    ) -> None:
        """Count a request that ended; times in seconds.

        Args:
            code: one of a bounded set (`Metrics.code_of`); empty: it succeeded.
        """
        self.by_status[status] = self.by_status.get(status, 0) + 1
        durations = self.durations.get(code)
        if durations is None:
            durations = self.durations[code] = Histogram(SECONDS)
        durations.add(duration)
        if first_byte is None:
            return
        self.first_byte.add(first_byte)
        completion = usage.completion_tokens or 0
        if usage.prompt_tokens:
            self.prompt_tokens.add(usage.prompt_tokens)
            self.cached_tokens += usage.cached_tokens
        if completion:
            self.completion_tokens.add(completion)
        if first_token is not None and not code:
            self.first_token.add(first_token)
            if completion > 1:
                self.output_token.add((duration - first_token) / (completion - 1))


class Metrics(Collector):
    """All that the gateway counts. Counting belongs to the event loop; scraping may happen there or in a thread.

    Attributes:
        totals: by model and endpoint.
        gauges: of all parts of the gateway that have some.
    """

    def __init__(self) -> None:
        self.totals: dict[tuple[str, str], Totals] = {}
        self.loop_wait = LoopWait()
        self.gauges: list[Gauge] = []
        self._codes = known_codes()
        self._decisions: dict[tuple[str, str, str, str], int] = {}
        self._deciding = Lock()  # a long answer is checked in a thread

    def totals_of(self, model: str, endpoint: str) -> Totals:
        """Where to count a request; an unknown model is the empty name, never a label of its own."""
        totals = self.totals.get((model, endpoint))
        if totals is None:
            totals = self.totals[model, endpoint] = Totals()
        return totals

    def code_of(self, status: int, error: str | None) -> str:
        """The label of an error; empty where there is none."""
        if error is None:
            return OTHER if status >= 400 else ""
        return error if error in self._codes else OTHER

    def count_decision(self, policy: str, side: str, validator: str, action: str, count: int) -> None:
        """Count what a guardrail policy decided."""
        key = (policy, side, validator, action)
        with self._deciding:
            self._decisions[key] = self._decisions.get(key, 0) + count

    def collect(self) -> Iterator[Metric]:
        """Called by Prometheus' client for each scrape."""
        labels = ("model", "endpoint")
        requests = CounterMetricFamily("sluice_requests", "Requests that ended.", labels=(*labels, "status"))
        errors = CounterMetricFamily("sluice_errors", "Requests that ended in an error.", labels=(*labels, "code"))
        tokens = CounterMetricFamily(
            "sluice_tokens",
            "Tokens, as the upstream counted; cached ones are prompt tokens too.",
            labels=(*labels, "kind"),
        )
        duration = HistogramMetricFamily("sluice_request_seconds", "Time to the end of the answer.", labels=labels)
        timed = {
            "first_byte": HistogramMetricFamily(
                "sluice_first_byte_seconds", "Time to the head of the upstream's answer.", labels=labels
            ),
            "first_token": HistogramMetricFamily(
                "sluice_first_token_seconds", "Time to the first event of a streamed answer.", labels=labels
            ),
            "output_token": HistogramMetricFamily(
                "sluice_output_token_seconds",
                "Time for each token of a streamed answer after the first.",
                labels=labels,
            ),
        }
        for key, totals in list(self.totals.items()):
            for status, count in list(totals.by_status.items()):
                requests.add_metric([*key, str(status)], count)
            durations = list(totals.durations.items())
            for code, histogram in durations:
                if code:
                    errors.add_metric([*key, code], sum(histogram.counts))
            whole = merged([histogram for _, histogram in durations], SECONDS)
            duration.add_metric(key, whole.buckets(), whole.sum)
            tokens.add_metric([*key, "prompt"], totals.prompt_tokens.sum)
            tokens.add_metric([*key, "cached"], totals.cached_tokens)
            tokens.add_metric([*key, "completion"], totals.completion_tokens.sum)
            for name, family in timed.items():
                histogram: Histogram = getattr(totals, name)
                family.add_metric(key, histogram.buckets(), histogram.sum)
        decisions = CounterMetricFamily(
            "sluice_guardrail_decisions",
            "Violations that a guardrail policy blocked or redacted.",
            labels=("policy", "side", "validator", "action"),
        )
        for labels, count in list(self._decisions.items()):
            decisions.add_metric(labels, count)
        waits = self.loop_wait.histogram
        loop_wait = HistogramMetricFamily("sluice_loop_wait_seconds", "Time that a request waited for the event loop.")
        loop_wait.add_metric([], waits.buckets(), waits.sum)
        yield from (requests, errors, tokens, duration, *timed.values(), decisions, loop_wait)
        for name, description, read in self.gauges:
            yield GaugeMetricFamily(name, description, value=read())
