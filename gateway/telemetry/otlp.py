"""Sending spans and metrics to a collector by OTLP over HTTP, from threads of their own.

Imported only where an endpoint is configured. OpenTelemetry's libraries find nothing in the environment, so that nothing but
the configured endpoint is ever connected, and nobody else's headers are sent there. A collector that is lost or slow costs spans, never
a request: what does not fit is dropped and counted, and the log says so once.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.semconv._incubating.attributes import service_attributes

from gateway.metrics import Gauge, Metrics
from gateway.request_id import BOOT
from gateway.telemetry.metrics import MetricMaker
from gateway.telemetry.spans import SpanMaker
from gateway.telemetry.trace_context import TraceContext
from sluice.settings import Settings

if TYPE_CHECKING:
    from gateway.exchange import Exchange

log = logging.getLogger(__name__)

SEND_SECONDS = 5.0
"""How long one batch is tried."""
BATCH_SECONDS = 1.0
BATCH_SPANS = 128
"""Encoding a span takes some 60 µs of the interpreter, which the event loop needs too, so batches are small."""
HELD_SPANS = 2048
"""Spans that wait to be sent; about 3 MB."""
STOP_SECONDS = 2.0
"""How long a stopping gateway waits for its last spans and metrics to be taken."""


class OtlpExport:
    """What one gateway process sends. `add` belongs to the event loop.

    Args:
        headers: sent with every batch.

    Attributes:
        dropped: spans that no collector has.
    """

    def __init__(self, settings: Settings, metrics: Metrics, headers: dict[str, str]) -> None:
        telemetry = settings.telemetry
        # Given whole, not created: that would ask detectors.
        resource = Resource(
            {service_attributes.SERVICE_NAME: telemetry.service_name, service_attributes.SERVICE_INSTANCE_ID: BOOT}
        )
        url = telemetry.otlp_endpoint
        self._outage = _Outage(url)
        with _bare_environment():
            spans = OTLPSpanExporter(f"{url}/v1/traces", headers=headers, timeout=SEND_SECONDS, session=_session())
            self._counted = _CountedExporter(spans, self._outage)
            self._processor = BatchSpanProcessor(self._counted, HELD_SPANS, 1000 * BATCH_SECONDS, BATCH_SPANS)
            self._metric_exporter = OTLPMetricExporter(
                f"{url}/v1/metrics", headers=headers, timeout=SEND_SECONDS, session=_session()
            )
        self._maker = SpanMaker(settings, resource)
        self._metric_maker = MetricMaker(settings, metrics, resource)
        self._metrics_seconds = telemetry.metrics_seconds
        self._added = self._refused = 0
        self._stopping = threading.Event()
        self._metrics_thread = threading.Thread(target=self._send_metrics, name="otlp-metrics", daemon=True)
        self._metrics_thread.start()

    @property
    def dropped(self) -> int:
        return self._refused + self._counted.failed

    @property
    def sent(self) -> int:
        """Spans that the collector has taken."""
        return self._counted.sent

    def gauges(self) -> list[Gauge]:
        """What an operator watches."""
        return [
            ("sluice_spans_sent", "Spans that the collector has taken.", lambda: self.sent),
            ("sluice_spans_dropped", "Spans that no collector has.", lambda: self.dropped),
        ]

    def add(self, exchange: "Exchange", trace: TraceContext) -> None:
        """Send the span of a request that has ended, some time soon."""
        if self._added - self._counted.sent - self._counted.failed >= HELD_SPANS:
            self._refused += 1
            return
        self._added += 1
        self._processor.on_end(self._maker.span(exchange, trace))

    async def stop(self) -> None:
        """Send what is left, as far as the collector takes it within `STOP_SECONDS`."""
        self._stopping.set()
        # A daemon, unlike the threads of an executor: at the end of the process nobody waits for it.
        last = threading.Thread(target=self._finish, name="otlp-stop", daemon=True)
        last.start()
        await asyncio.to_thread(last.join, STOP_SECONDS)
        self._counted.shutdown()
        self._metric_exporter.shutdown()
        self._outage.close()
        if lost := self._added - self._counted.sent:
            log.warning("%d spans were not taken by the collector before the gateway stopped.", lost)

    def _finish(self) -> None:
        self._processor.shutdown()
        self._metrics_thread.join()

    def _send_metrics(self) -> None:
        """In its thread: until the gateway stops, and once more then."""
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(self._metrics_seconds)
            try:
                if self._metric_exporter.export(self._metric_maker.data()) is MetricExportResult.SUCCESS:
                    self._outage.end()
            except Exception:
                log.exception("Metrics cannot be made.")


class _CountedExporter(SpanExporter):
    """Counts what the collector has taken, and what it has not."""

    def __init__(self, exporter: SpanExporter, outage: "_Outage") -> None:
        self._exporter = exporter
        self._outage = outage
        self._open = True
        self.sent = self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
            self._outage.end()
        else:
            self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        if self._open:
            self._open = False
            self._exporter.shutdown()


class _Outage(logging.Handler):
    """Says once that a collector is lost, and once that it is back, in place of what the libraries say of each try."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(logging.WARNING)
        self._endpoint = endpoint
        self._lasts = False
        self._logger = logging.getLogger("opentelemetry")
        self._logger.addHandler(self)
        self._logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._lasts:
            self._lasts = True
            log.warning("Telemetry is not taken by %s, spans are dropped: %s", self._endpoint, record.getMessage())

    def end(self) -> None:
        """The collector has taken something."""
        if self._lasts:
            self._lasts = False
            log.warning("Telemetry is taken by %s again.", self._endpoint)

    def close(self) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = True
        super().close()


@contextmanager
def _bare_environment() -> Generator[None]:
    """Without the variables that the libraries read: endpoints, headers, certificates, providers."""
    taken = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("OTEL_")}
    try:
        yield
    finally:
        os.environ.update(taken)


def _session() -> requests.Session:
    """Without proxies and passwords of the environment."""
    session = requests.Session()
    session.trust_env = False
    return session
