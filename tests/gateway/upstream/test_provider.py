"""A provider's own protocol (Anthropic's) behind OpenAI's API, through the LiteLLM SDK."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.doubles.anthropic_server import AnthropicServer
from tests.gateway.running_gateway import RunningGateway

MESSAGES: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer() as server:
        yield server


@pytest.fixture
def gateway(tmp_path: Path, server: AnthropicServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningGateway]:
    monkeypatch.setenv("PROVIDER_KEY", "the-providers-own-key")
    route = {"url": server.url, "provider": "anthropic", "model": "claude-x", "api_key_env": "PROVIDER_KEY"}
    with RunningGateway(tmp_path, server.url, routes={"claude": route}) as running:
        yield running


def test_a_plain_answer_is_translated_and_metered(gateway: RunningGateway, server: AnthropicServer) -> None:
    answer = gateway.client.chat.completions.create(model="claude", messages=MESSAGES, max_tokens=20)
    assert answer.choices[0].message.content == "Hello from Claude."
    assert answer.choices[0].finish_reason == "stop"
    [sent] = server.requests
    assert (sent["path"], sent["model"], sent["max_tokens"]) == ("/v1/messages", "claude-x", 20)
    assert server.keys == ["the-providers-own-key"]
    [record] = gateway.usage(1)
    assert (record.route, record.prompt_tokens, record.completion_tokens) == ("claude", 11, 3)


def test_a_streamed_answer_is_the_same_and_metered(gateway: RunningGateway) -> None:
    stream = gateway.client.chat.completions.create(model="claude", messages=MESSAGES, stream=True)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello from Claude."
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    [record] = gateway.usage(1)
    assert (record.status, record.prompt_tokens, record.completion_tokens) == (200, 11, 3)


@pytest.mark.parametrize(
    "field", ["api_base", "api_key", "base_url", "custom_llm_provider", "extra_headers", "mock_response"]
)
def test_no_field_of_a_client_steers_the_library(gateway: RunningGateway, server: AnthropicServer, field: str) -> None:
    body = {"model": "claude", "messages": MESSAGES, field: "http://127.0.0.1:1"}
    response = gateway.post(body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, field)
    assert not server.requests


def test_pictures_are_not_fetched(gateway: RunningGateway, server: AnthropicServer) -> None:
    content = [{"type": "image_url", "image_url": {"url": f"{server.url}/picture.png"}}]
    response = gateway.post({"model": "claude", "messages": [{"role": "user", "content": content}]})
    assert response.status_code == 400
    assert not server.requests


@pytest.mark.parametrize(("sent", "told"), [(400, 400), (401, 502), (429, 429), (529, 500)])
def test_the_providers_errors_are_passed_on(
    gateway: RunningGateway, server: AnthropicServer, sent: int, told: int
) -> None:
    server.refuse_with = sent
    response = gateway.post({"model": "claude", "messages": MESSAGES})
    assert response.status_code == told
    assert len(server.requests) == 1, "nothing is tried again behind the client's back"
    assert "the-providers-own-key" not in response.text


def test_a_stream_that_breaks_off_ends_with_an_error(gateway: RunningGateway, server: AnthropicServer) -> None:
    server.break_off = True
    with pytest.raises(openai.APIError):
        list(gateway.client.chat.completions.create(model="claude", messages=MESSAGES, stream=True))


def test_other_endpoints_are_refused(gateway: RunningGateway) -> None:
    response = gateway.post({"model": "claude", "prompt": "x"}, path="/v1/completions")
    assert response.status_code == 400
