import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gateway.metrics import Metrics
from gateway.tokens import PromptDetails, TokenUsage

USAGE = TokenUsage(12, 5, PromptDetails(8))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def scraped(metrics: Metrics) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(metrics)
    lines = generate_latest(registry).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_a_stream(metrics: Metrics) -> None:
    metrics.totals_of("m", "chat").add(200, "", 1.0, 0.1, 0.2, USAGE)
    found = scraped(metrics)
    labels = 'endpoint="chat",model="m"'
    assert found[f"sluice_first_token_seconds_sum{{{labels}}}"] == 0.2
    assert found[f"sluice_output_token_seconds_sum{{{labels}}}"] == pytest.approx(0.2)  # four tokens in 0.8 s
    kinds = {kind: found[f'sluice_tokens_total{{endpoint="chat",kind="{kind}",model="m"}}'] for kind in
             ("prompt", "cached", "completion")}  # fmt: skip
    assert kinds == {"prompt": 12, "cached": 8, "completion": 5}
    assert not any(name.startswith("sluice_errors_total{") for name in found)


def test_times_of_tokens_are_those_of_successful_streams(metrics: Metrics) -> None:
    totals = metrics.totals_of("m", "chat")
    totals.add(200, "upstream_failed", 1.0, 0.1, 0.2, USAGE)  # broke off
    totals.add(200, "", 1.0, 0.1, None, USAGE)  # plain
    totals.add(200, "", 1.0, 0.1, 0.2, TokenUsage(12, 1))  # nothing after its first token
    found = scraped(metrics)
    assert found['sluice_first_token_seconds_count{endpoint="chat",model="m"}'] == 1
    assert found['sluice_output_token_seconds_count{endpoint="chat",model="m"}'] == 0
    assert found['sluice_request_seconds_count{endpoint="chat",model="m"}'] == 3
    assert found['sluice_errors_total{code="upstream_failed",endpoint="chat",model="m"}'] == 1


def test_what_never_reached_an_upstream_has_a_duration_only(metrics: Metrics) -> None:
    metrics.totals_of("", "chat").add(404, "model_not_found", 0.001, None, None, TokenUsage())
    found = scraped(metrics)
    assert found['sluice_requests_total{endpoint="chat",model="",status="404"}'] == 1
    assert found['sluice_first_byte_seconds_count{endpoint="chat",model=""}'] == 0
