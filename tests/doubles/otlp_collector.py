"""A collector that takes OTLP over HTTP on loopback, in a thread: what was sent, decoded."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class OtlpCollector:
    """`with OtlpCollector() as collector: ...`

    Attributes:
        status: what it answers with.
        go_on: requests are answered only while this is set.
        paths: of all requests that came, also of those that it refused; `headers`: theirs.
    """

    def __init__(self) -> None:
        self.status = 200
        self.go_on = threading.Event()
        self.go_on.set()
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.resources: list[dict[str, Any]] = []
        self.spans: list[Span] = []
        self._metrics: list[ExportMetricsServiceRequest] = []

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self.stop()

    def stop(self) -> None:
        """From now on connections are refused."""
        self._server.shutdown()
        self._server.server_close()

    def points(self, name: str) -> list[HistogramDataPoint]:
        """The data points of a metric, as they were last sent."""
        for metric in self._last_metrics():
            if metric.name == name:
                return list(metric.histogram.data_points)
        return []

    def metric_names(self) -> set[str]:
        return {metric.name for metric in self._last_metrics()}

    def _last_metrics(self) -> Iterator[Metric]:
        for request in self._metrics[-1:]:
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    yield from scope.metrics

    def _take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(attributes_of(resource.resource.attributes))
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        else:
            self._metrics.append(ExportMetricsServiceRequest.FromString(body))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.paths.append(self.path)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                collector.go_on.wait()
                if collector.status == 200:
                    collector._take(self.path, body)
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Not to standard error."""

        return Handler


def attributes_of(attributes: Any) -> dict[str, Any]:
    """As plain values."""

    def value(found: AnyValue) -> Any:
        return getattr(found, found.WhichOneof("value") or "string_value")

    return {pair.key: value(pair.value) for pair in attributes if isinstance(pair, KeyValue)}
