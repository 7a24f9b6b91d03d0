"""A prompt as what an evaluation asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.case import Case
from prompts.registry import list_versions
from prompts.subject import make_subject
from sluice.errors import InvalidRequest
from sluice.git_blob import blob_hash
from sluice.settings import Settings
from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway

CONTENT = b"description: d\nmodel: m\nvariables: {x: one}\nmessages:\n  - role: user\n    content: '{{ x }}?'\n"


@pytest.fixture
def settings(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("OPENAI_API_KEY", gateway.key)
    platform = {"home": gateway.settings.platform.home}
    return Settings.model_validate({"platform": platform, "gateway": {"port": gateway.port}})


@pytest.fixture
def gateway(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path, scripted_upstream.url) as running:
        yield running


def test_a_file_is_registered_and_asked_through_the_gateway(
    gateway: RunningGateway, settings: Settings, scripted_upstream: ScriptedUpstream
) -> None:
    subject = make_subject(settings, gateway.engine, "one", CONTENT)
    answer = subject(Case("1", {"x": "Why"}))
    assert answer.text.startswith("Hello")
    assert scripted_upstream.requests[0].json["messages"] == [{"role": "user", "content": "Why?"}]
    [record] = gateway.usage(1)
    assert (record.request_id, record.prompt) == (answer.request_id, f"one@{blob_hash(CONTENT)}")
    [version] = list_versions(gateway.engine, "one")
    assert version.author == "tester"


def test_a_case_that_does_not_fit_is_an_error_and_no_answer(
    gateway: RunningGateway, settings: Settings, scripted_upstream: ScriptedUpstream
) -> None:
    subject = make_subject(settings, gateway.engine, "one", CONTENT)
    with pytest.raises(InvalidRequest, match="needs the variable 'x'"):
        subject(Case("1", {"y": "Why"}))
    assert not scripted_upstream.requests


def test_what_is_no_prompt_is_refused_at_once(gateway: RunningGateway, settings: Settings) -> None:
    with pytest.raises(InvalidRequest, match=r"one\.yaml, line 1"):
        make_subject(settings, gateway.engine, "one", b"x: 1")
