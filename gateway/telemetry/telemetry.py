"""What is told of requests beyond their usage records: spans, and a line in the log."""

import asyncio
from typing import TYPE_CHECKING

from gateway.metrics import Metrics
from gateway.telemetry.access_log import log_access
from gateway.telemetry.otlp_headers import otlp_headers
from gateway.telemetry.trace_context import NONE, begin, bound_of
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

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Connects nothing.

        Raises:
            ConfigurationError: `telemetry.headers_env` names no headers.
        """
        self._settings = settings
        self._metrics = metrics
        self._headers = otlp_headers(settings.telemetry)
        self._traces = bool(settings.telemetry.otlp_endpoint)
        self._bound = bound_of(settings.telemetry.sample)
        self._most_begun = settings.telemetry.new_traces_per_second
        self._second = self._begun = 0
        self._logs_all = settings.gateway.access_log == "all"
        self._logs_errors = settings.gateway.access_log != "none"
        self._export: OtlpExport | None = None

    async def start(self) -> None:
        """Begin to send."""
        self._metrics.loop_wait.start()
        if self._traces:
            self._export = await asyncio.to_thread(self._open_export)
            self._metrics.gauges += self._export.gauges()

    async def stop(self) -> None:
        """Send what is left, within seconds."""
        if self._export is not None:
            await self._export.stop()

    def begin(self, exchange: "Exchange", headers: list[Header]) -> None:
        """A request has begun; its trace context is put into the headers that go upstream."""
        if not self._traces:
            return
        if (second := int(exchange.started)) != self._second:
            self._second, self._begun = second, 0
        exchange.trace = trace = begin(headers, self._bound if self._begun < self._most_begun else NONE)
        if trace is not None and trace.parent_id is None:
            self._begun += 1

    def end(self, exchange: "Exchange") -> None:
        """A request has ended."""
        if self._logs_all or (self._logs_errors and exchange.failed):
            log_access(exchange)
        if exchange.trace is not None and self._export is not None:
            self._export.add(exchange, exchange.trace)

    def _open_export(self) -> "OtlpExport":
        from gateway.telemetry.otlp import OtlpExport

        return OtlpExport(self._settings, self._metrics, self._headers)
