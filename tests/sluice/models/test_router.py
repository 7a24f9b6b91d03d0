from pathlib import Path

from sluice.models.router import router_command
from sluice.settings import ModelSettings, Source


def test_the_router_stands_before_the_replicas_on_loopback() -> None:
    model = ModelSettings(source=Source(package="some-model==1"), port=9000, replicas=2, start_seconds=300)
    assert " ".join(router_command(model, Path("/engine/bin/python"))) == (
        "/engine/bin/vllm-router --host 127.0.0.1 --port 9000 "
        "--worker-urls http://127.0.0.1:9001 http://127.0.0.1:9002 --policy cache_aware "
        "--prometheus-host 127.0.0.1 --prometheus-port 9003 "
        "--worker-startup-timeout-secs 300 --worker-startup-check-interval 1 "
        "--health-check-interval-secs 5 --cb-failure-threshold 2 --cb-timeout-duration-secs 5 --log-level warning"
    )
