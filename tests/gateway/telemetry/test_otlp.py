import logging
import os
import socket
import threading
from pathlib import Path

import pytest

from gateway.telemetry import otlp
from tests.doubles.otlp_collector import OtlpCollector
from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway
from tests.gateway.telemetry.conftest import Traced

BODY = {"model": "m", "messages": []}


def gauge(gateway: RunningGateway, name: str) -> float:
    lines = gateway._http.get(f"{gateway.origin}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def assert_stops(gateway: RunningGateway) -> None:
    """Though a batch is on its way for ten minutes; and what still sends keeps no process from ending."""
    gateway.stop()
    gateway._thread.join(60)
    assert not gateway._thread.is_alive()
    sending = [thread for thread in threading.enumerate() if thread.name.startswith(("otlp", "Otel"))]
    assert all(thread.daemon for thread in sending)


def test_what_is_left_is_sent_before_the_gateway_stops(traced: Traced, collector: OtlpCollector) -> None:
    gateway = traced(metrics_seconds=3600)
    for _ in range(5):
        gateway.post(BODY)
    gateway.stop()
    gateway._thread.join(60)
    assert len(collector.spans) == 5
    assert sum(point.count for point in collector.points("gen_ai.server.request.duration")) == 5


def test_headers_come_from_the_environment(
    traced: Traced, collector: OtlpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTOR_HEADERS", "authorization=Basic c2VjcmV0, x-scope=prod")
    gateway = traced(headers_env="COLLECTOR_HEADERS")
    gateway.post(BODY)
    gateway.wait(lambda: {"/v1/traces", "/v1/metrics"} <= set(collector.paths))
    assert all(headers["authorization"] == "Basic c2VjcmV0" for headers in collector.headers)
    assert all(headers["x-scope"] == "prod" for headers in collector.headers)


def test_nothing_of_the_environment_leads_elsewhere(
    traced: Traced, collector: OtlpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtlpCollector() as elsewhere:
        for variable in (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "HTTP_PROXY",
            "ALL_PROXY",
        ):
            monkeypatch.setenv(variable, elsewhere.url)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=stolen,host.name=told")
        monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "os,host,process")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=for-somebody-else")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        monkeypatch.setenv("OTEL_PYTHON_METER_PROVIDER", "no_such_provider")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        gateway = traced()
        gateway.post(BODY)
        gateway.wait(lambda: collector.spans)
        assert collector.resources[0].keys() == {"service.name", "service.instance.id"}
        assert "authorization" not in collector.headers[0]
        assert os.environ["OTEL_EXPORTER_OTLP_COMPRESSION"] == "gzip"  # for others, it is still there
        assert not elsewhere.paths


def test_nothing_is_sent_where_nothing_is_configured(
    tmp_path: Path, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtlpCollector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with RunningGateway(tmp_path, scripted_upstream.url, sections={"telemetry": {"sample": 1}}) as gateway:
            given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            gateway.post(BODY, headers={"traceparent": given})
            assert scripted_upstream.requests[-1].header("traceparent") == given
            gateway.post(BODY)
            assert scripted_upstream.requests[-1].header("traceparent") is None
        assert not collector.paths


def test_a_lost_collector_costs_spans_and_one_line_of_the_log(
    traced: Traced, collector: OtlpCollector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "SEND_SECONDS", 0.2)
    collector.stop()
    gateway = traced()
    for _ in range(2):
        assert gateway.post(BODY).status_code == 200
        before = gauge(gateway, "sluice_spans_dropped")
        gateway.wait(lambda before=before: gauge(gateway, "sluice_spans_dropped") > before)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 1
    assert said[0].startswith(f"Telemetry is not taken by {collector.url}, spans are dropped: ")


def test_a_collector_that_refuses_is_told_of_and_so_is_its_return(
    traced: Traced, collector: OtlpCollector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 401
    gateway = traced(metrics_seconds=3600)
    gateway.post(BODY)
    gateway.wait(lambda: gauge(gateway, "sluice_spans_dropped") == 1)
    collector.status = 200
    gateway.post(BODY)
    gateway.wait(lambda: gauge(gateway, "sluice_spans_sent") == 1)
    lost, again = (record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert "401" in lost
    assert again == f"Telemetry is taken by {collector.url} again."


def test_a_collector_that_hangs_delays_nothing(
    traced: Traced, collector: OtlpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "STOP_SECONDS", 0.2)
    monkeypatch.setattr(otlp, "SEND_SECONDS", 600)
    monkeypatch.setattr(otlp, "BATCH_SPANS", 1)
    collector.go_on.clear()
    gateway = traced()
    for _ in range(3):
        assert gateway.post(BODY).status_code == 200
    gateway.wait(lambda: "/v1/traces" in collector.paths)
    assert_stops(gateway)
    assert not collector.spans


def test_spans_beyond_what_is_held_are_dropped_and_counted(
    traced: Traced, collector: OtlpCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "STOP_SECONDS", 0.2)
    monkeypatch.setattr(otlp, "HELD_SPANS", 3)
    monkeypatch.setattr(otlp, "BATCH_SPANS", 1)
    collector.go_on.clear()
    gateway = traced()
    for _ in range(5):
        gateway.post(BODY)
    assert gauge(gateway, "sluice_spans_dropped") == 2
    collector.go_on.set()
    gateway.wait(lambda: len(collector.spans) == 3)


def test_a_port_where_nobody_ever_answers(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "STOP_SECONDS", 0.2)
    monkeypatch.setattr(otlp, "SEND_SECONDS", 600)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        gateway = traced(otlp_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        gateway.post(BODY)
        assert_stops(gateway)
