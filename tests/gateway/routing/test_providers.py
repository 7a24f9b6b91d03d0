"""Routes over servers that speak different APIs: OpenAI's, and Anthropic's through the LiteLLM SDK."""

from collections.abc import Iterator

import pytest

from tests.doubles.anthropic_server import AnthropicServer
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body
from tests.gateway.routing.conftest import Serve, chat
from tests.gateway.routing.test_dispatch import text_of, told

CLAUDE = "Hello from Claude."


@pytest.fixture
def claude() -> Iterator[AnthropicServer]:
    with AnthropicServer() as server:
        yield server


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_answers_where_our_own_model_cannot(
    serve: Serve, near: ScriptedUpstream, claude: AnthropicServer, stream: bool
) -> None:
    near.next(Behaviour(status=503, body=error_body("busy", status=503)))
    provider = {"url": claude.url, "provider": "anthropic", "model": "claude-x", "name": "claude"}
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["claude"]}}, claude=provider)
    response = gateway.post(chat(stream=stream))
    assert text_of(response) == CLAUDE
    assert told(response) == ("claude", "2")
    [record] = gateway.usage(1)
    assert (record.route, record.prompt_tokens, record.completion_tokens) == ("r", 11, 3)


@pytest.mark.parametrize(("status", "failure"), [(429, "rate_limited"), (529, "unavailable"), (401, "unavailable")])
def test_our_own_model_answers_where_a_provider_cannot(
    serve: Serve, near: ScriptedUpstream, claude: AnthropicServer, status: int, failure: str
) -> None:
    claude.refuse_with = status
    provider = {"url": claude.url, "provider": "anthropic", "model": "claude-x", "fallbacks": {failure: ["m"]}}
    gateway = serve(r=provider)
    assert gateway.post(chat()).status_code == 200
    assert near.requests[0].json["model"] == "m"


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        ("prompt is too long: 210000 tokens > 200000 maximum", "too_long"),
        ("Output blocked by content filtering policy", "refused_content"),
    ],
)
def test_a_providers_way_to_say_so_is_understood(
    serve: Serve, near: ScriptedUpstream, claude: AnthropicServer, message: str, failure: str
) -> None:
    claude.refuse_with, claude.message = 400, message
    provider = {"url": claude.url, "provider": "anthropic", "model": "claude-x", "fallbacks": {failure: ["m"]}}
    gateway = serve(r=provider)
    assert gateway.post(chat()).status_code == 200


def test_a_provider_that_cannot_take_the_request_leaves_the_failure_as_it_was(
    serve: Serve, near: ScriptedUpstream, claude: AnthropicServer
) -> None:
    near.default = Behaviour(status=503, body=error_body("Too busy.", status=503))
    provider = {"url": claude.url, "provider": "anthropic", "model": "claude-x"}
    gateway = serve(r={"url": near.url, "fallbacks": {"unavailable": ["claude"]}}, claude=provider)
    for body, path in (
        (chat() | {"top_k": 3}, "/v1/chat/completions"),
        ({"model": "r", "prompt": "x"}, "/v1/completions"),
    ):
        response = gateway.post(body, path=path)
        assert response.status_code == 503
        assert "Too busy." in response.json()["error"]["message"]
    assert not claude.requests


def test_an_endpoint_that_one_upstream_serves_goes_to_it(
    serve: Serve, near: ScriptedUpstream, claude: AnthropicServer
) -> None:
    upstreams = [{"url": claude.url, "provider": "anthropic", "name": "claude"}, {"url": near.url, "weight": 0.000001}]
    gateway = serve(r={"upstreams": upstreams})
    for _ in range(3):
        assert gateway.post({"model": "r", "prompt": "x"}, path="/v1/completions").status_code == 200
    assert len(near.requests) == 3
