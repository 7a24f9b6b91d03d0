from typing import Any

from gateway.telemetry.histogram import OPERATION_SECONDS, TOKENS
from tests.doubles.behaviour import Behaviour
from tests.doubles.otlp_collector import OtlpCollector, attributes_of
from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.telemetry.conftest import Traced


def by_attributes(collector: OtlpCollector, name: str, attribute: str) -> dict[Any, Any]:
    return {attributes_of(point.attributes).get(attribute): point for point in collector.points(name)}


def test_the_conventions_metrics(traced: Traced, collector: OtlpCollector, scripted_upstream: ScriptedUpstream) -> None:
    gateway = traced()
    usage = gateway.post({"model": "alias", "messages": [{"role": "user", "content": "one two"}]}).json()["usage"]
    gateway.post({"model": "alias", "messages": [], "stream": True})
    scripted_upstream.next(Behaviour(status=429, body={"error": {"message": "no", "code": "whatever it says"}}))
    gateway.post({"model": "alias", "messages": []})
    gateway.post({"model": "a client's text", "messages": []})

    def ended() -> int:
        return sum(point.count for point in collector.points("gen_ai.server.request.duration"))

    gateway.wait(lambda: ended() == 4)
    assert collector.metric_names() == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
        "gen_ai.server.request.duration",
        "gen_ai.server.time_to_first_token",
        "gen_ai.server.time_per_output_token",
        "sluice.loop.wait",
    }
    durations = by_attributes(collector, "gen_ai.client.operation.duration", "error.type")
    assert {error: point.count for error, point in durations.items()} == {None: 2, "other": 1, "model_not_found": 1}
    assert attributes_of(durations[None].attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "alias",
        "gen_ai.response.model": "m",
    }
    assert attributes_of(durations["model_not_found"].attributes) == {
        "gen_ai.operation.name": "chat",
        "error.type": "model_not_found",
    }
    assert tuple(durations[None].explicit_bounds) == OPERATION_SECONDS
    assert sum(durations[None].bucket_counts) == 2
    tokens = by_attributes(collector, "gen_ai.client.token.usage", "gen_ai.token.type")
    assert tuple(tokens["input"].explicit_bounds) == TOKENS
    assert tokens["output"].sum == 2 * usage["completion_tokens"]
    assert [point.count for point in collector.points("gen_ai.server.time_per_output_token")] == [1]


def test_counts_go_on_from_one_sending_to_the_next(traced: Traced, collector: OtlpCollector) -> None:
    gateway = traced()
    gateway.post({"model": "m", "messages": []})
    gateway.wait(lambda: collector.points("gen_ai.server.request.duration"))
    started = collector.points("gen_ai.server.request.duration")[0].start_time_unix_nano
    gateway.post({"model": "m", "messages": []})
    gateway.wait(lambda: collector.points("gen_ai.server.request.duration")[0].count == 2)
    assert collector.points("gen_ai.server.request.duration")[0].start_time_unix_nano == started
