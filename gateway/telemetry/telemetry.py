"""What is told of requests beyond their usage records: spans, a line in the log, bodies that a policy keeps."""

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from gateway.metrics import Metrics
from gateway.telemetry.access_log import log_access
from gateway.telemetry.bodies import Bodies
from gateway.telemetry.otlp_headers import otlp_headers
from gateway.telemetry.trace_context import begin, bound_of
from gateway.upstream.header import Header
from sluice.settings import Settings

if TYPE_CHECKING:
    from gateway.exchange import Exchange
    from gateway.telemetry.otlp import OtlpExport


class Telemetry:
    """Of one gateway process; belongs to its event loop.

    Where no endpoint is configured, requests pass with the trace context that they came with: a span that nobody will ever
    see must not stand between the client's and the upstream's.
    """

    def __init__(self, settings: Settings, metrics: Metrics, engine: Engine) -> None:
        """Connects nothing.

        Raises:
            ConfigurationError: `telemetry.headers_env` names no headers.
        """
        self.bodies = Bodies(engine, settings.telemetry.held_body_bytes, settings.gateway.usage.flush_seconds)
        self._settings = settings
        self._metrics = metrics
        self._headers = otlp_headers(settings.telemetry)
        self._traces = bool(settings.telemetry.otlp_endpoint)
        self._bound = bound_of(settings.telemetry.sample)
        self._logs_all = settings.gateway.access_log == "all"
        self._logs_errors = settings.gateway.access_log != "none"
        self._export: OtlpExport | None = None
        metrics.gauges += [
            ("sluice_bodies_lost", "Bodies to be kept that were not, for want of memory.", lambda: self.bodies.lost)
        ]

    async def start(self) -> None:
        """Begin to write and to send."""
        self._metrics.loop_wait.start()
        self.bodies.start()
        if self._traces:
            self._export = export = await asyncio.to_thread(self._open_export)
            self._metrics.gauges += [
                ("sluice_spans_sent", "Spans that the collector has taken.", lambda: export.sent),
                ("sluice_spans_dropped", "Spans that no collector has.", lambda: export.dropped),
            ]

    async def stop(self) -> None:
        """Write and send what is left, within seconds."""
        await self.bodies.stop()
        if self._export is not None:
            await self._export.stop()

    def begin(self, exchange: "Exchange", headers: list[Header]) -> None:
        """A request has begun; its trace context is put into the headers that go upstream."""
        if self._traces:
            exchange.trace = begin(headers, self._bound)

    def end(self, exchange: "Exchange") -> None:
        """A request has ended."""
        if self._logs_all or (self._logs_errors and exchange.failed):
            log_access(exchange)
        if exchange.trace is not None and self._export is not None:
            self._export.add(exchange, exchange.trace)
        if exchange.kept is not None:
            self.bodies.end(exchange.kept)

    def _open_export(self) -> "OtlpExport":
        from gateway.telemetry.otlp import OtlpExport

        return OtlpExport(self._settings, self._metrics, self._headers)
