import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from prompts.registry import register
from sluice.cli.main import build
from sluice.errors import NotFound
from sluice.guardrails.library import import_quietly
from sluice.identity import create_key
from tests.doubles.behaviour import Behaviour
from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway

Run = Callable[..., str]
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "seed": 7, "temperature": 0.5}
POLICIES = {"kept": {"keep_bodies": True}, "not_kept": {}}


@pytest.fixture
def gateway(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> Iterator[RunningGateway]:
    import_quietly()
    sections = {"guardrails": {"policies": POLICIES, "default": "kept"}}
    with RunningGateway(tmp_path / "home", scripted_upstream.url, sections=sections) as running:
        yield running


@pytest.fixture
def run(gateway: RunningGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "gateway.yaml").write_text(yaml.safe_dump({"gateway": {"port": gateway.port}}))
    monkeypatch.setenv("SLUICE_CONFIG", str(tmp_path / "configs"))
    monkeypatch.setenv("SLUICE_PLATFORM__HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OPENAI_API_KEY", gateway.key)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(build(), ["requests", *arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    return call


def kept_request(gateway: RunningGateway, body: dict[str, Any]) -> str:
    bodies = gateway.application.traffic._guardrails._bodies
    request_id = gateway.post(body).headers["x-request-id"]
    gateway.wait(lambda: not bodies._held_bytes)
    gateway.usage(1)
    return request_id


def test_show(gateway: RunningGateway, run: Run) -> None:
    request_id = kept_request(gateway, ASK)
    shown = json.loads(run("show", request_id, "--json"))
    assert shown["request"] == ASK
    assert shown["answer"]["choices"][0]["message"]["content"].startswith("Hello from")
    assert '"content": "hello"' in run("show", f"request:{request_id}")


def test_replay_sends_the_same_and_shows_both_answers(
    gateway: RunningGateway, run: Run, scripted_upstream: ScriptedUpstream
) -> None:
    request_id = kept_request(gateway, ASK | {"stream": True, "stream_options": {"include_usage": True}})
    scripted_upstream.next(Behaviour(content=["Something", " else"]))
    shown = run("replay", request_id)
    assert "Hello from the scripted upstream" in shown
    assert "Something else" in shown
    assert "The answers differ." in shown
    assert "by chance" not in shown  # it has a seed
    assert scripted_upstream.requests[-1].json == ASK
    again = gateway.usage(2)[1]
    assert again.parent_id == request_id
    scripted_upstream.next(Behaviour())
    done = json.loads(run("replay", request_id, "--json"))
    assert done["before"] == done["again"]


def test_replay_keeps_to_the_prompts_version_of_then(
    gateway: RunningGateway, run: Run, scripted_upstream: ScriptedUpstream
) -> None:
    content = (
        b"description: Says.\nmessages:\n  - role: user\n    content: Say {{ word }}.\nvariables:\n  word: a word\n"
    )
    version = register(gateway.engine, "say", content, author="ada").version
    prompt = {"id": "say", "version": version, "variables": {"word": "hello"}}
    request_id = kept_request(gateway, {"model": "m", "prompt": prompt})
    shown = run("replay", request_id)
    assert scripted_upstream.requests[-1].json["messages"][0]["content"] == "Say hello."
    assert f"say@{version}" in shown
    assert "The answers are the same." in shown


def test_what_is_not_kept_says_why(gateway: RunningGateway, run: Run) -> None:
    gateway.key = create_key(gateway.engine, owner="tester", policy="not_kept")[1]
    request_id = gateway.post(ASK).headers["x-request-id"]
    gateway.usage(1)
    for command in ("show", "replay"):
        with pytest.raises(NotFound, match=r"is not kept: it was under the policy not_kept@"):
            run(command, request_id)
        with pytest.raises(NotFound, match=r"There is no request 'req-1'"):
            run(command, "req-1")


def test_the_trace_has_what_is_kept(gateway: RunningGateway, run: Run) -> None:
    request_id = kept_request(gateway, ASK)
    result = CliRunner().invoke(build(), ["trace", request_id, "--json"], catch_exceptions=False)
    attributes = json.loads(result.stdout)["attributes"]
    assert json.loads(attributes["request"]) == ASK
    assert "Hello from" in attributes["answer"]
