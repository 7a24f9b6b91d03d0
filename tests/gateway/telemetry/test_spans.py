import json
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.doubles.behaviour import Behaviour
from tests.doubles.openai_answers import CONTENT
from tests.doubles.otlp_collector import OtlpCollector, attributes_of
from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.telemetry.conftest import Traced

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRETS = ("Wherefore", "Capulet")
MESSAGES = [{"role": "user", "content": " ".join(SECRETS)}]


def attributes(span: Span) -> dict[str, Any]:
    return attributes_of(span.attributes)


def test_a_request_is_a_span_by_the_conventions(
    traced: Traced, collector: OtlpCollector, scripted_upstream: ScriptedUpstream
) -> None:
    gateway = traced(service_name="front-door")
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
    response = gateway.post({"model": "alias", "messages": MESSAGES}, headers=headers)
    gateway.wait(lambda: collector.spans)
    (span,) = collector.spans
    assert (span.name, span.kind) == ("chat alias", Span.SPAN_KIND_SERVER)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 60e9
    assert span.status.code == Status.STATUS_CODE_UNSET
    known = attributes(span)
    usage = response.json()["usage"]
    assert known == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "server.address": "127.0.0.1",
        "server.port": 0,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "alias",
        "gen_ai.response.model": "m",
        "gen_ai.request.stream": False,
        "gen_ai.usage.input_tokens": usage["prompt_tokens"],
        "gen_ai.usage.output_tokens": usage["completion_tokens"],
        "gen_ai.usage.cache_read.input_tokens": 0,
        "sluice.request.id": response.headers["x-request-id"],
        "sluice.key.id": gateway.usage(1)[0].key_id,
        "sluice.charged_tokens": usage["total_tokens"],
        "sluice.upstream": f"m@{scripted_upstream.origin.removeprefix('http://')}",
    }
    assert collector.resources[0]["service.name"] == "front-door"
    sent = scripted_upstream.requests[-1]
    assert sent.header("traceparent") == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert sent.header("tracestate") == "vendor=1"
    assert not any(word in str(collector.spans) for word in SECRETS)


def test_two_requests_of_one_trace(traced: Traced, collector: OtlpCollector) -> None:
    gateway = traced(sample=0)
    for _ in range(2):
        gateway.post({"model": "m", "messages": []}, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    gateway.post({"model": "m", "messages": []})  # begins a trace, of which none is kept
    gateway.wait(lambda: len(collector.spans) == 2)
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert len({span.span_id for span in collector.spans}) == 2
    gateway.stop()
    gateway.wait(lambda: not gateway._thread.is_alive())
    assert len(collector.spans) == 2


def test_a_stream_tells_when_its_first_token_came(traced: Traced, collector: OtlpCollector) -> None:
    gateway = traced()
    with gateway.client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream:  # type: ignore[call-overload]
        assert sum(1 for _ in stream) > len(CONTENT)
    gateway.wait(lambda: collector.spans and collector.points("gen_ai.server.time_to_first_token"))
    known = attributes(collector.spans[0])
    assert known["gen_ai.request.stream"] is True
    assert 0 < known["gen_ai.response.time_to_first_chunk"] == known["gen_ai.server.time_to_first_token"] < 60
    assert known["gen_ai.usage.output_tokens"] == len(CONTENT)


@pytest.mark.parametrize(
    ("body", "behaviour", "status", "error", "code"),
    [
        (
            {"model": "m"},
            Behaviour(status=500, body={"error": {"message": "no"}}),
            500,
            "500",
            Status.STATUS_CODE_ERROR,
        ),
        ({"model": "m"}, Behaviour(status=400, body={"error": {"message": "no", "code": "bad"}}), 400, "bad", 0),
        ({"model": "nowhere"}, None, 404, "model_not_found", 0),
        (
            {"model": "m", "stream": True},
            Behaviour(stop_at="in_body"),
            200,
            "upstream_failed",
            Status.STATUS_CODE_ERROR,
        ),
    ],
)
def test_errors(
    traced: Traced,
    collector: OtlpCollector,
    scripted_upstream: ScriptedUpstream,
    body: dict[str, Any],
    behaviour: Behaviour | None,
    status: int,
    error: str,
    code: int,
) -> None:
    gateway = traced()
    if behaviour:
        scripted_upstream.next(behaviour)
    gateway.post(body | {"messages": []})
    gateway.wait(lambda: collector.spans)
    (span,) = collector.spans
    known = attributes(span)
    assert (known["error.type"], span.status.code) == (error, code)
    # What goes on being sent after the head of a stream does not change its status.
    assert known["http.response.status_code"] in (status, 502)
    if body["model"] == "nowhere":
        assert span.name == "chat"
        assert "gen_ai.request.model" not in known


def test_a_services_request_is_a_span_of_http(
    traced: Traced, collector: OtlpCollector, scripted_upstream: ScriptedUpstream
) -> None:
    gateway = traced({"knowledge": {"module": "none", "port": scripted_upstream.port, "paths": ["/v1/tools"]}})
    scripted_upstream.next(Behaviour(body={}))
    gateway.post({}, path="/v1/tools/wherefore?art=thou")
    gateway.wait(lambda: collector.spans)
    (span,) = collector.spans
    assert span.name == "POST /v1/tools"
    assert attributes(span)["url.path"] == "/v1/tools"
    assert not any(name.startswith("gen_ai.") for name in attributes(span))
    assert scripted_upstream.requests[-1].header("traceparent") == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-03"


def test_a_request_without_a_key_is_a_span_too(traced: Traced, collector: OtlpCollector) -> None:
    gateway = traced()
    gateway.post({"model": "m", "messages": []}, headers={"authorization": "Bearer nothing"})
    gateway.wait(lambda: collector.spans)
    known = attributes(collector.spans[0])
    assert known["error.type"] == "invalid_api_key"
    assert "sluice.key.id" not in known


def test_hostile_trace_headers_harm_nobody(
    traced: Traced, collector: OtlpCollector, scripted_upstream: ScriptedUpstream
) -> None:
    gateway = traced()
    body = json.dumps({"model": "m", "messages": []}).encode()
    for hostile in (b"\xff\xfe", b"00-" + b"z" * 4000, b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"):
        head = gateway.head(len(body))[:-2] + b"traceparent: " + hostile + b"\r\ntracestate: " + hostile + b"\r\n\r\n"
        with gateway.connect() as connection:
            connection.sendall(head + body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        sent = scripted_upstream.requests[-1]
        assert len(str(sent.header("traceparent"))) == 55
        assert sent.header("tracestate") is None
    gateway.wait(lambda: len(collector.spans) == 3)
    assert not any(span.parent_span_id for span in collector.spans)
