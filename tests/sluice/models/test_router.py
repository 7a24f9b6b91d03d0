from pathlib import Path
from typing import Any

import pytest

from sluice.models.router import router_command
from sluice.settings import ModelSettings

TUNED = (
    "--cache-threshold 0.3 --balance-abs-threshold 64 --balance-rel-threshold 1.5 "
    "--prometheus-host 127.0.0.1 --prometheus-port {metrics} "
    "--worker-startup-timeout-secs 300 --worker-startup-check-interval 1 "
    "--health-check-interval-secs 5 --request-timeout-secs 1800 --retry-max-retries 5 --retry-jitter-factor 0.2 "
    "--retry-initial-backoff-ms 50 --retry-max-backoff-ms 30000 --retry-backoff-multiplier 1.5 "
    "--cb-failure-threshold 4 --cb-success-threshold 3 --cb-timeout-duration-secs 5 --log-level warning"
)


def command(replicas: int = 1, **router: Any) -> str:
    settings = {"source": {"package": "some-model==1"}, "port": 9000, "replicas": replicas, "start_seconds": 300}
    model = ModelSettings.model_validate(settings | {"router": router})
    return " ".join(router_command("m", model, Path("/engine/bin/python")))


def test_the_router_stands_before_the_replicas_on_loopback() -> None:
    assert command(replicas=2) == (
        "/engine/bin/vllm-router --host 127.0.0.1 --port 9000 "
        "--worker-urls http://127.0.0.1:9001 http://127.0.0.1:9002 --policy cache_aware " + TUNED.format(metrics=9003)
    )


def test_what_is_tuned_reaches_the_router() -> None:
    retries = {"attempts": 3, "first_wait_seconds": 0.1, "longest_wait_seconds": 2, "growth": 2, "jitter": 0.5}
    breaker = {"failures": 1, "successes": 2, "open_seconds": 9}
    tuned = command(
        replicas=2,
        policy="consistent_hash",
        cache_threshold=0.5,
        retries=retries,
        circuit_breaker=breaker,
        health_check_seconds=7,
        request_timeout_seconds=60,
        arguments=["--max-tree-size", "1000"],
    )
    for option in (
        *(
            "--policy consistent_hash",
            "--cache-threshold 0.5",
            "--retry-max-retries 3",
            "--retry-initial-backoff-ms 100",
        ),
        *("--retry-max-backoff-ms 2000", "--retry-backoff-multiplier 2.0", "--retry-jitter-factor 0.5"),
        *("--cb-failure-threshold 1", "--cb-success-threshold 2", "--cb-timeout-duration-secs 9"),
        *("--health-check-interval-secs 7", "--request-timeout-secs 60"),
    ):
        assert f" {option} " in tuned
    assert tuned.endswith(" --max-tree-size 1000")


@pytest.mark.parametrize(("attempts", "failures"), [(1, 1), (2, 1), (3, 2)])
def test_the_breaker_opens_before_the_last_attempt(attempts: int, failures: int) -> None:
    assert f" --cb-failure-threshold {failures} " in command(replicas=2, retries={"attempts": attempts})


def test_events_are_heard_from_each_replica() -> None:
    heard = command(replicas=2, policy="kv_aware", kv_block_size=64)
    assert "--policy kv_aware " in heard
    assert (
        "--kv-event-model m --kv-event-block-size 64 "
        "--kv-event-source http://127.0.0.1:9001=tcp://127.0.0.1:9004 "
        "--kv-event-source http://127.0.0.1:9002=tcp://127.0.0.1:9005 "
    ) in heard
    elsewhere = command(policy="kv_aware", urls=["http://a:1"], kv_events={"http://a:1/": "tcp://a:5557"})
    assert "--worker-urls http://a:1 --policy kv_aware " in elsewhere
    assert "--kv-event-source http://a:1=tcp://a:5557 " in elsewhere


PODS = "--service-discovery --service-discovery-port 8000 "


@pytest.mark.parametrize(
    ("router", "replicas"),
    [
        ({"urls": ["http://a:8000", "https://b"]}, "--worker-urls http://a:8000 https://b --policy cache_aware "),
        ({"kubernetes": {"selector": {"app": "q", "r": "s"}}}, PODS + "--selector app=q r=s --policy cache_aware "),
        (
            {"kubernetes": {"namespace": "models", "port": 81, "selector": {"app": "q"}}},
            "--service-discovery --service-discovery-port 81 --service-discovery-namespace models --selector app=q ",
        ),
        (
            {
                "kubernetes": {},
                "disaggregation": {"prefill_selector": {"role": "p"}, "decode_selector": {"role": "d"}},
            },
            PODS + "--vllm-pd-disaggregation --kv-connector nixl --prefill-selector role=p --decode-selector role=d ",
        ),
        (
            {
                "disaggregation": {
                    "prefill": ["http://p:1", "http://q:1"],
                    "decode": ["http://d:1", "http://e:1"],
                    "kv_connector": "mooncake",
                    "bootstrap_port": 8998,
                    "prefill_policy": "cache_aware",
                    "decode_policy": "power_of_two",
                }
            },
            "--vllm-pd-disaggregation --kv-connector mooncake --prefill http://p:1 8998 --prefill http://q:1 8998 "
            "--decode http://d:1 --decode http://e:1 --policy cache_aware "
            "--prefill-policy cache_aware --decode-policy power_of_two ",
        ),
    ],
)
def test_replicas_elsewhere(router: dict[str, Any], replicas: str) -> None:
    assert f"--port 9000 {replicas}" in command(**router)
    assert "--prometheus-port 9001 " in command(**router)
