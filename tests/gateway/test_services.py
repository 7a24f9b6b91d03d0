"""Requests that the gateway forwards to the platform's own services."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway

CHAT = {"model": "agent/analyst", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def gateway(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> Iterator[RunningGateway]:
    service = {
        "module": "none",
        "port": scripted_upstream.port,
        "paths": ["/v1/tools", "/mcp"],
        "models": ["agent/analyst"],
    }
    with RunningGateway(tmp_path, scripted_upstream.url, services={"knowledge": service}) as running:
        yield running


def request(gateway: RunningGateway, method: str, path: str, **options: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {gateway.key}", **options.pop("headers", {})}  # type: ignore[dict-item]
    return httpx.request(method, gateway.origin + path, headers=headers, trust_env=False, timeout=60, **options)  # type: ignore[arg-type]


def test_a_path_and_what_is_below_it_is_forwarded_with_the_callers_key(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(body={"tools": []}), Behaviour(status=404, body={"error": {"message": "no"}}))
    listed = request(gateway, "GET", "/v1/tools?limit=3", headers={"x-other": "stays here", "cookie": "stays too"})
    assert listed.json() == {"tools": []}
    refused = request(gateway, "POST", "/v1/tools/x", json={"arguments": {}})
    assert (refused.status_code, refused.json()) == (404, {"error": {"message": "no"}})
    first, second = scripted_upstream.requests
    assert (first.method, first.path) == ("GET", "/v1/tools?limit=3")
    sent = dict(first.headers)
    assert sent["authorization"] == f"Bearer {gateway.key}"
    assert sent["x-request-id"] == listed.headers["x-request-id"]
    assert not {"x-other", "cookie"} & sent.keys()
    assert (second.method, second.path, json.loads(second.body)) == ("POST", "/v1/tools/x", {"arguments": {}})
    records = gateway.usage(2)
    assert [(row.route, row.endpoint, row.status) for row in records] == [
        ("tools", "tools", 200),
        ("tools", "tools", 404),
    ]


def test_no_key_no_service(gateway: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    response = request(gateway, "GET", "/v1/tools", headers={"authorization": "Bearer sk-sluice-x"})
    assert response.status_code == 401
    assert not scripted_upstream.requests


@pytest.mark.parametrize("path", ["/v1/toolsx", "/v1/tool", "/mcpx"])
def test_a_path_that_only_begins_alike_is_not_forwarded(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, path: str
) -> None:
    assert request(gateway, "GET", path).status_code == 404
    assert not scripted_upstream.requests


def test_a_name_of_a_service_is_a_model(gateway: RunningGateway, scripted_upstream: ScriptedUpstream) -> None:
    assert gateway.post(CHAT).status_code == 200
    [sent] = scripted_upstream.requests
    assert sent.path == "/v1/chat/completions"
    assert dict(sent.headers)["authorization"] == f"Bearer {gateway.key}"
    assert "agent/analyst" in [model.id for model in gateway.client.models.list()]


def test_other_upstreams_never_get_the_callers_key(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    gateway.post({**CHAT, "model": "m"})
    assert "authorization" not in dict(scripted_upstream.requests[0].headers)


def test_a_client_that_leaves_ends_the_services_work(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.next(Behaviour(stop_at="after_head", stop="stall"))
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(f"GET /v1/tools HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n\r\n".encode())
        gateway.wait(lambda: scripted_upstream.requests)
    gateway.wait(lambda: scripted_upstream.requests[0].disconnected)
    assert gateway.usage(1)[0].status == 499


def test_a_service_that_is_down_and_that_nobody_starts_is_502(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    services = {"knowledge": {"module": "none", "port": port, "paths": ["/v1/tools"]}}
    with RunningGateway(tmp_path, "http://127.0.0.1:9/v1", services=services) as gateway:
        response = request(gateway, "GET", "/v1/tools")
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_failed"


@pytest.mark.parametrize("body", [b'{"model":"x"}', b'{"model":"x","stream":true}'], ids=["plain", "stream"])
def test_an_answer_that_breaks_off_does_not_pass_for_whole(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, body: bytes
) -> None:
    scripted_upstream.next(Behaviour(content=["x"] * 8, stop_at="in_body"))
    with pytest.raises(httpx.RemoteProtocolError):
        gateway.post(body, path="/v1/tools/x")
    assert gateway.usage(1)[0].error == "upstream_failed"
