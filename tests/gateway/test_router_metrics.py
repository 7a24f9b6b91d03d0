from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.router_metrics import read_families
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway
from tests.ports import free_ports

TOLD = """# TYPE vllm_router_retries_total counter
vllm_router_retries_total{route="/v1/chat/completions"} 8
vllm_router_retries_total{route="/a/path/of/a/client"} 1
vllm_router_retries_total{route="/another"} 2

# TYPE vllm_router_cb_state gauge
vllm_router_cb_state{worker="http://a:1"} 1
vllm_router_cb_state{worker="http://b:1"} 0

# TYPE vllm_router_active_workers gauge
vllm_router_active_workers 2

# TYPE vllm_router_processed_requests_total counter
vllm_router_processed_requests_total{worker="http://a:1"} 3
vllm_router_processed_requests_total{worker="http://b:1"} 4

# TYPE vllm_router_generate_duration_seconds histogram
vllm_router_generate_duration_seconds_bucket{le="0.5"} 4
vllm_router_generate_duration_seconds_bucket{le="+Inf"} 7
vllm_router_generate_duration_seconds_sum 0.25
vllm_router_generate_duration_seconds_count 7

# TYPE sluice_requests_total counter
sluice_requests_total 1000
"""
SOURCE = {"package": "some-model==1"}


class Routed:
    """A gateway, and the metrics of two routers: those of the models `one` and `two`."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        ports = [free_ports(2), free_ports(2)]
        self.routers = [stack.enter_context(ScriptedUpstream(port=port + 1)) for port in ports]
        models = {
            name: {"source": SOURCE, "port": port, "router": {"urls": ["http://a:1", "http://b:1"]}}
            for name, port in zip(("one", "two"), ports, strict=True)
        }
        self.gateway = stack.enter_context(RunningGateway(home, "http://127.0.0.1:1/v1", sections={"models": models}))

    def scrape(self, **behaviour: Any) -> list[str]:
        """What a scrape brings of routers; the second one's router behaves as given."""
        told = Behaviour(path="/metrics", body=TOLD)
        self.routers[0].next(told)
        self.routers[1].next(Behaviour(**{"path": "/metrics", "body": TOLD} | behaviour))
        lines = httpx.get(f"{self.gateway.origin}/metrics", trust_env=False, timeout=60).text.splitlines()
        return [line for line in lines if "router" in line]


@pytest.fixture
def routed(tmp_path: Path) -> Iterator[Routed]:
    with ExitStack() as stack:
        yield Routed(tmp_path, stack)


def test_the_routers_metrics_stand_among_the_gateways_told_apart_by_model(routed: Routed) -> None:
    lines = routed.scrape()
    for model in ("one", "two"):
        assert f'sluice_router_up{{model="{model}"}} 1.0' in lines
        assert f'vllm_router_retries_total{{model="{model}",route="/v1/chat/completions"}} 8.0' in lines
        assert f'vllm_router_cb_state{{model="{model}",worker="http://a:1"}} 1.0' in lines
        assert f'vllm_router_generate_duration_seconds_bucket{{le="+Inf",model="{model}"}} 7.0' in lines
    assert lines.count("# TYPE vllm_router_retries_total counter") == 1


def test_labels_are_bounded(routed: Routed) -> None:
    lines = routed.scrape()
    assert 'vllm_router_retries_total{model="one",route="other"} 3.0' in lines
    assert not [line for line in lines if "client" in line]


def test_a_router_cannot_speak_for_the_gateway(routed: Routed) -> None:
    routed.scrape()
    text = httpx.get(f"{routed.gateway.origin}/metrics", trust_env=False, timeout=60).text
    assert "1000" not in text


@pytest.mark.parametrize(
    "behaviour",
    [
        {"status": 500},
        {"stop_at": 0},
        {"stop_at": "in_body"},
        {"stop_at": 0, "stop": "stall"},
        {"stop_at": "in_body", "stop": "stall"},
        {"body": "<html>no metrics here</html>"},
        {"body": b"\xff\xfe"},
        {"body": "# " + "x" * 300_000},
    ],
    ids=str,
)
def test_a_router_that_does_not_tell_leaves_out_its_lines_only(routed: Routed, behaviour: dict[str, Any]) -> None:
    lines = routed.scrape(**behaviour)
    assert 'sluice_router_up{model="two"} 0.0' in lines
    assert 'sluice_router_up{model="one"} 1.0' in lines
    assert {line.split('model="')[1].partition('"')[0] for line in lines if line.startswith("vllm")} == {"one"}
    assert 'sluice_router_up{model="two"} 1.0' in routed.scrape()


def test_a_router_that_is_down_is_told(routed: Routed) -> None:
    routed.routers[1].stop_listening()
    assert 'sluice_router_up{model="two"} 0.0' in routed.scrape()


def test_a_gateway_without_routers_says_nothing_of_them(gateway: RunningGateway) -> None:
    assert "router" not in httpx.get(f"{gateway.origin}/metrics", trust_env=False, timeout=60).text


def test_of_pods_counts_are_added_up_and_gauges_left_out() -> None:
    families = {family.name: family.series for family in read_families(TOLD, frozenset())}
    assert families["vllm_router_processed_requests"] == {("vllm_router_processed_requests_total", ()): 7}
    assert "vllm_router_cb_state" not in families
    assert families["vllm_router_active_workers"] == {("vllm_router_active_workers", ()): 2}
