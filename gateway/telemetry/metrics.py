"""The gateway's counts as OpenTelemetry's metrics, by the semantic conventions for generative AI.

The gateway is its clients' server and its upstreams' client; both durations run from a request's first byte to the end of
its answer, since what the gateway itself adds is a small fraction of a millisecond. Imported only where metrics are
exported.
"""

import time
from collections.abc import Iterator

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import Resource
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes

from gateway.metrics import Metrics, Totals
from gateway.telemetry.destinations import OPERATIONS, destinations
from gateway.telemetry.histogram import (
    FIRST_TOKEN_SECONDS,
    OPERATION_SECONDS,
    OUTPUT_TOKEN_SECONDS,
    TOKENS,
    Histogram,
)
from gateway.telemetry.loop_wait import WAIT_SECONDS
from gateway.telemetry.spans import SCOPE
from sluice.settings import Settings

Attributes = dict[str, str]
LOOP_WAIT = "sluice.loop.wait"

_DESCRIBED: dict[str, tuple[str, str, tuple[float, ...]]] = {
    gen_ai_metrics.GEN_AI_CLIENT_OPERATION_DURATION: ("GenAI operation duration.", "s", OPERATION_SECONDS),
    gen_ai_metrics.GEN_AI_CLIENT_TOKEN_USAGE: ("Number of input and output tokens used.", "{token}", TOKENS),
    gen_ai_metrics.GEN_AI_SERVER_REQUEST_DURATION: (
        "Generative AI server request duration such as time-to-last byte or last output token.",
        "s",
        OPERATION_SECONDS,
    ),
    gen_ai_metrics.GEN_AI_SERVER_TIME_TO_FIRST_TOKEN: (
        "Time to generate first token for successful responses.",
        "s",
        FIRST_TOKEN_SECONDS,
    ),
    gen_ai_metrics.GEN_AI_SERVER_TIME_PER_OUTPUT_TOKEN: (
        "Time per output token generated after the first token for successful responses.",
        "s",
        OUTPUT_TOKEN_SECONDS,
    ),
    LOOP_WAIT: ("Time that a request waited for the event loop.", "s", WAIT_SECONDS),
}
"""By name: description, unit and bounds."""


class MetricMaker:
    """Makes the metrics of one gateway process, cumulative since it started."""

    def __init__(self, settings: Settings, metrics: Metrics, resource: Resource) -> None:
        self._metrics = metrics
        self._resource = resource
        self._destinations = destinations(settings)
        self._started = time.time_ns()

    def data(self) -> MetricsData:
        """All as it stands now."""
        now = time.time_ns()
        points: dict[str, list[HistogramDataPoint]] = {}
        for name, attributes, histogram in self._all():
            if any(counts := histogram.counts_over(_DESCRIBED[name][2])):
                points.setdefault(name, []).append(self._point(name, attributes, counts, histogram.sum, now))
        made = [
            Metric(name, *_DESCRIBED[name][:2], HistogramData(of_name, AggregationTemporality.CUMULATIVE))
            for name, of_name in points.items()
        ]
        return MetricsData([ResourceMetrics(self._resource, [ScopeMetrics(SCOPE, made, "")], "")])

    def _all(self) -> Iterator[tuple[str, Attributes, Histogram]]:
        for (model, endpoint), totals in list(self._metrics.totals.items()):
            if endpoint in OPERATIONS:
                yield from _of_model(self._attributes(model, endpoint), totals)
        yield LOOP_WAIT, {}, self._metrics.loop_wait.histogram

    def _attributes(self, model: str, endpoint: str) -> Attributes:
        attributes = {gen_ai.GEN_AI_OPERATION_NAME: OPERATIONS[endpoint]}
        if destination := self._destinations.get(model):
            attributes |= {
                gen_ai.GEN_AI_PROVIDER_NAME: destination.provider,
                gen_ai.GEN_AI_REQUEST_MODEL: model,
                gen_ai.GEN_AI_RESPONSE_MODEL: destination.model,
            }
        return attributes

    def _point(
        self, name: str, attributes: Attributes, counts: list[int], total: float, now: int
    ) -> HistogramDataPoint:
        return HistogramDataPoint(
            attributes,
            self._started,
            now,
            count=sum(counts),
            sum=total,
            bucket_counts=counts,
            explicit_bounds=_DESCRIBED[name][2],
            min=None,  # pyright: ignore[reportArgumentType] - optional in the protocol, and not counted here
            max=None,  # pyright: ignore[reportArgumentType]
        )


def _of_model(attributes: Attributes, totals: Totals) -> Iterator[tuple[str, Attributes, Histogram]]:
    for code, durations in list(totals.durations.items()):
        ended = attributes | ({error_attributes.ERROR_TYPE: code} if code else {})
        yield gen_ai_metrics.GEN_AI_CLIENT_OPERATION_DURATION, ended, durations
        yield gen_ai_metrics.GEN_AI_SERVER_REQUEST_DURATION, ended, durations
    for kind, tokens in (("input", totals.prompt_tokens), ("output", totals.completion_tokens)):
        counted = attributes | {gen_ai.GEN_AI_TOKEN_TYPE: kind}
        yield gen_ai_metrics.GEN_AI_CLIENT_TOKEN_USAGE, counted, tokens
    yield gen_ai_metrics.GEN_AI_SERVER_TIME_TO_FIRST_TOKEN, attributes, totals.first_token
    yield gen_ai_metrics.GEN_AI_SERVER_TIME_PER_OUTPUT_TOKEN, attributes, totals.output_token
