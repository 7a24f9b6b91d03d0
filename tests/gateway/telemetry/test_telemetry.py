from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gateway.metrics import Metrics
from gateway.telemetry.telemetry import Telemetry
from sluice.settings import Settings

CLIENTS = (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


def test_of_the_traces_that_begin_here_so_many_are_kept_each_second(tmp_path: Path) -> None:
    section = {"otlp_endpoint": "http://127.0.0.1:1", "new_traces_per_second": 3}
    settings = Settings.model_validate({"platform": {"home": tmp_path}, "telemetry": section})
    telemetry = Telemetry(settings, Metrics())

    def kept(started: float, *headers: tuple[bytes, bytes]) -> bool:
        exchange: Any = SimpleNamespace(started=started, trace=None)
        telemetry.begin(exchange, list(headers))
        return exchange.trace is not None

    assert [kept(10 + number / 10) for number in range(5)] == [True, True, True, False, False]
    assert all(kept(10.9, CLIENTS) for _ in range(5)), "who began a trace has decided"
    assert [kept(11.0) for _ in range(4)] == [True, True, True, False]
