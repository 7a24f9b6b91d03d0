from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.telemetry import otlp
from tests.doubles.otlp_collector import OtlpCollector
from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway

Traced = Callable[..., RunningGateway]


@pytest.fixture
def collector() -> Iterator[OtlpCollector]:
    with OtlpCollector() as running:
        yield running


@pytest.fixture
def traced(
    tmp_path: Path, scripted_upstream: ScriptedUpstream, collector: OtlpCollector, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Traced]:
    """Starts a gateway that exports to the collector; further settings of `telemetry:` by name."""
    monkeypatch.setattr(otlp, "BATCH_SECONDS", 0.05)
    with ExitStack() as running:

        def start(services: dict[str, Any] | None = None, **telemetry: Any) -> RunningGateway:
            section = {"otlp_endpoint": collector.url, "sample": 1, "metrics_seconds": 0.05} | telemetry
            gateway = RunningGateway(
                tmp_path, scripted_upstream.url, services=services, sections={"telemetry": section}
            )
            return running.enter_context(gateway)

        yield start
