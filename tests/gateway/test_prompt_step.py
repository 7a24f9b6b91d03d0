"""Requests that name a stored prompt, from the client to what the upstream gets."""

import json
from typing import Any

import openai
import pytest

from prompts.prompt import Prompt
from prompts.registry import register
from sluice.promotion import Candidate, promote
from sluice.settings import PromotionSettings
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream, error_body
from tests.gateway.running_gateway import RunningGateway

CAPITAL = """\
description: Names a capital.
model: m
parameters: {temperature: 0, max_tokens: 16, logit_bias: {"7": -1.50}}
variables: {country: which}
messages:
  - role: system
    content: Answer in one word.
  - role: user
    content: The capital of {{ country }}?
"""
RENDERED = [
    {"role": "system", "content": "Answer in one word."},
    {"role": "user", "content": "The capital of France?"},
]
FRANCE = {"id": "capital", "variables": {"country": "France"}}


@pytest.fixture
def capital(gateway: RunningGateway) -> Prompt:
    """A prompt with a version that is labelled `production`."""
    prompt = register(gateway.engine, "capital", CAPITAL.encode(), author="ada")
    label(gateway, prompt)
    return prompt


def label(gateway: RunningGateway, prompt: Prompt, name: str = "production") -> None:
    candidate = Candidate("prompt", prompt.name, prompt.version)
    promote(gateway.engine, candidate, name, by="ada", settings=PromotionSettings(guarded=()))


def refusal(
    gateway: RunningGateway, body: dict[str, Any] | bytes, path: str = "/v1/chat/completions"
) -> dict[str, Any]:
    response = gateway.post(body, path)
    error = response.json()["error"]
    assert len(response.content) < 1000
    return error | {"status": response.status_code}


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_by_its_label(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, capital: Prompt, stream: bool
) -> None:
    response = gateway.post({"prompt": FRANCE, "stream": stream})
    assert response.status_code == 200
    assert response.headers["x-sluice-prompt"] == capital.reference
    [sent] = scripted_upstream.requests
    assert sent.json["messages"] == RENDERED
    assert (sent.json["model"], sent.json["temperature"], sent.json["max_tokens"]) == ("m", 0, 16)
    assert "prompt" not in sent.json
    [record] = gateway.usage(1)
    assert (record.prompt, record.route, record.streamed) == (capital.reference, "m", stream)


def test_a_prompt_by_its_hash_or_the_beginning_of_it(gateway: RunningGateway, capital: Prompt) -> None:
    for version in (capital.version, capital.version[:7]):
        response = gateway.post({"prompt": FRANCE | {"version": version}})
        assert response.headers["x-sluice-prompt"] == capital.reference


def test_the_official_client(gateway: RunningGateway, scripted_upstream: ScriptedUpstream, capital: Prompt) -> None:
    answer = gateway.client.chat.completions.create(model="", messages=[], extra_body={"prompt": FRANCE})
    assert answer.choices[0].message.content
    assert scripted_upstream.requests[0].json["messages"] == RENDERED


def test_the_clients_own_fields_go_before_the_prompts(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, capital: Prompt
) -> None:
    own = b'[{"role": "user", "content":"\\u00e9", "x":1.10}]'
    prompt = json.dumps(FRANCE).encode()
    body = b'{"model":"alias","temperature":0.50,"seed":12345678901234567890,"messages":%b,"prompt":%b}' % (own, prompt)
    assert gateway.post(body).status_code == 200
    [sent] = scripted_upstream.requests
    assert sent.json["messages"] == [*RENDERED, *json.loads(own)]
    assert sent.json["model"] == "m"  # the alias's own
    assert sent.json["logit_bias"] == {"7": -1.5}
    for untouched in (b'"temperature":0.50', b'"seed":12345678901234567890', own[1:-1]):
        assert untouched in sent.body
    assert gateway.usage(1)[0].route == "alias"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_two_names_of_one_parameter(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, capital: Prompt, name: str
) -> None:
    gateway.post({"prompt": FRANCE, name: 5})
    sent = scripted_upstream.requests[0].json
    assert [sent.get(other) for other in ("max_tokens", "max_completion_tokens") if other in sent] == [5]


@pytest.mark.parametrize("value", ["{{ country }}", "{% raw %}", '"}],"model":"other', "\u2028\n\0", "🌊" * 1000])
def test_a_variable_is_data(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, capital: Prompt, value: str
) -> None:
    assert gateway.post({"prompt": {"id": "capital", "variables": {"country": value}}}).status_code == 200
    assert scripted_upstream.requests[0].json["messages"][1]["content"] == f"The capital of {value}?"
    assert scripted_upstream.requests[0].json["model"] == "m"


@pytest.mark.parametrize(
    ("prompt", "status", "param", "message"),
    [
        ("text", 400, "prompt", "'prompt': Expected `object | null`, got `str`."),
        ({}, 400, "prompt.id", "'prompt.id': The field is required."),
        ({"id": 5}, 400, "prompt.id", "'prompt.id': Expected `str`, got `int`."),
        ({"id": "capital", "variables": []}, 400, "prompt.variables", "Expected `object | null`"),
        ({"id": "capital", "label": "x"}, 400, "prompt", "unknown field `label`"),
        ({"id": "capital"}, 400, "prompt.variables.country", "needs the variable 'country' (which)."),
        (FRANCE | {"variables": {"country": "a", "x": 1}}, 400, "prompt.variables.x", "It takes: country."),
        ({"id": "capitol"}, 404, "prompt.id", "There is no prompt 'capitol'."),
        ({"id": "x" * 5000}, 400, "prompt.id", "Expected `str` of length <= 128."),
        (FRANCE | {"version": "x" * 5000}, 400, "prompt.version", "Expected `str` of length <= 64."),
        (FRANCE | {"x" * 5000: 1}, 400, "prompt", "unknown field `xxx"),
        ({"id": "a\0\ud800"}, 400, None, "not valid JSON"),
        ({"id": "a\0"}, 404, "prompt.id", "There is no prompt"),
        (FRANCE | {"version": "next"}, 404, "prompt.version", "no version or label 'next'."),
        (FRANCE | {"version": "0" * 40}, 404, "prompt.version", f"no version or label '{'0' * 40}'."),
    ],
)
def test_each_mistake_is_named_and_reaches_no_upstream(
    gateway: RunningGateway,
    scripted_upstream: ScriptedUpstream,
    capital: Prompt,
    prompt: Any,
    status: int,
    param: str | None,
    message: str,
) -> None:
    error = refusal(gateway, {"model": "m", "prompt": prompt})
    assert (error["status"], error["param"]) == (status, param)
    assert message in error["message"]
    assert not scripted_upstream.requests
    assert gateway.usage(1)[0].status == status


def test_a_body_of_a_hundred_thousand_variables(gateway: RunningGateway, capital: Prompt) -> None:
    """Work for each pair of them would outlast the client's patience."""
    variables = {"country": "France"} | {f"{number:06}{'x' * 200}": "y" for number in range(100_000)}
    error = refusal(gateway, {"prompt": {"id": "capital", "variables": variables}})
    assert error["param"].startswith("prompt.variables.000000")


@pytest.mark.parametrize("messages", ["text", {"role": "user"}, 5])
def test_messages_that_are_no_list(gateway: RunningGateway, capital: Prompt, messages: Any) -> None:
    error = refusal(gateway, {"prompt": FRANCE, "messages": messages})
    assert (error["status"], error["param"]) == (400, "messages")


def test_a_body_without_a_prompt_is_as_it_was(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, capital: Prompt
) -> None:
    body = b'{ "model":"m", "prompt": null, "messages":[{"role":"user","content":"\\u00e9"}] }'
    assert "x-sluice-prompt" not in gateway.post(body).headers
    assert scripted_upstream.requests[0].body == body
    assert gateway.usage(1)[0].prompt is None
    for missing in (b'{"messages":[]}', b'{"messages":[],"prompt":null}'):
        error = refusal(gateway, missing)
        assert (error["status"], error["param"], error["message"]) == (400, "model", "'model': The field is required.")


@pytest.mark.parametrize("prompt", [b'"text"', b'["a", "b"]', b"[1,2.50]", b'{"id":"capital"}'])
def test_the_text_of_completions_passes_untouched(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, capital: Prompt, prompt: bytes
) -> None:
    body = b'{"model":"m", "prompt": %b}' % prompt
    assert gateway.post(body, "/v1/completions").status_code == 200
    assert scripted_upstream.requests[0].body == body
    error = refusal(gateway, b'{"prompt": %b}' % prompt, "/v1/completions")
    assert (error["status"], error["param"]) == (400, "model")


def test_neither_the_request_nor_the_prompt_names_a_model(gateway: RunningGateway) -> None:
    content = CAPITAL.replace("model: m\n", "")
    version = register(gateway.engine, "capital", content.encode(), author="ada").version
    error = refusal(gateway, {"prompt": FRANCE | {"version": version}})
    assert (error["status"], error["param"], error["message"]) == (400, "model", "'model': The field is required.")
    assert gateway.post({"model": "m", "prompt": FRANCE | {"version": version}}).status_code == 200


def test_a_prompts_model_is_no_way_around_the_keys(gateway: RunningGateway, capital: Prompt) -> None:
    from sluice.identity import create_key

    _, text = create_key(gateway.engine, owner="x", models=["alias"])
    response = gateway.post({"prompt": FRANCE}, headers={"authorization": f"Bearer {text}"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


def test_a_moved_label_is_followed(gateway: RunningGateway, capital: Prompt) -> None:
    assert gateway.post({"prompt": FRANCE}).headers["x-sluice-prompt"] == capital.reference
    new = register(gateway.engine, "capital", CAPITAL.replace("one word", "one").encode(), author="ada")
    label(gateway, new)
    gateway.wait(lambda: gateway.post({"prompt": FRANCE}).headers["x-sluice-prompt"] == new.reference)


def test_an_upstreams_error_still_says_which_prompt_it_was(
    gateway: RunningGateway, scripted_upstream: ScriptedUpstream, capital: Prompt
) -> None:
    scripted_upstream.next(Behaviour(status=429, body=error_body("slow", status=429), headers=[("retry-after", "7")]))
    response = gateway.post({"prompt": FRANCE})
    assert (response.status_code, response.headers["x-sluice-prompt"]) == (429, capital.reference)
    assert gateway.usage(1)[0].prompt == capital.reference


def test_the_official_clients_errors(gateway: RunningGateway, capital: Prompt) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        gateway.client.chat.completions.create(model="m", messages=[], extra_body={"prompt": {"id": "x"}})
    assert (raised.value.param, raised.value.code) == ("prompt.id", "not_found")
