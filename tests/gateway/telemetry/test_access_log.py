import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sluice.logs import JsonLines
from tests.doubles.behaviour import Behaviour
from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.running_gateway import RunningGateway

Start = Callable[[str], RunningGateway]
BODY = {"model": "m", "messages": [{"role": "user", "content": "Wherefore art thou"}]}
BROKEN = Behaviour(status=500, body={"error": {"message": "Wherefore not?", "code": "Bearer abcdefgh12345678"}})


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the process writes as its log."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def start(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> Iterator[Start]:
    with ExitStack() as running:

        def start_one(access_log: str) -> RunningGateway:
            gateway = RunningGateway(tmp_path, scripted_upstream.url, access_log=access_log)
            return running.enter_context(gateway)

        yield start_one


def of_requests(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["logger"] == "gateway.access"]


def test_all_requests(start: Start, lines: Callable[[], list[dict[str, Any]]]) -> None:
    gateway = start("all")
    response = gateway.post(BODY)
    gateway.post(b"{", headers={"authorization": "Bearer nothing"})
    (record,) = gateway.usage(1)
    first, second = of_requests(lines())
    assert first.pop("time")
    assert 0 < first.pop("duration_ms") < 60_000
    assert first == {
        "level": "info",
        "logger": "gateway.access",
        "message": "POST /v1/chat/completions 200",
        "request_id": response.headers["x-request-id"],
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "model": "m",
        "key": record.key_id,
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
    }
    assert (second["status"], second["error"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(("setting", "expected"), [("none", []), ("errors", [500, 502])])
def test_errors_only(
    start: Start,
    lines: Callable[[], list[dict[str, Any]]],
    scripted_upstream: ScriptedUpstream,
    setting: str,
    expected: list[int],
) -> None:
    gateway = start(setting)
    scripted_upstream.next(Behaviour(), BROKEN, Behaviour(status=400, body={}), Behaviour(stop_at="in_body"))
    for stream in (False, False, False, True):
        gateway.post(BODY | {"stream": stream})
    gateway.usage(4)
    assert [line["status"] for line in of_requests(lines())] == expected
    assert all(line["level"] == "warning" for line in of_requests(lines()))


def test_no_key_and_no_prompt_is_in_the_log(
    start: Start, lines: Callable[[], list[dict[str, Any]]], scripted_upstream: ScriptedUpstream
) -> None:
    gateway = start("all")
    scripted_upstream.next(
        Behaviour(), BROKEN, Behaviour(content=["Wherefore", " indeed"]), Behaviour(raw=b"Wherefore")
    )
    for body in (BODY, BODY, BODY | {"stream": True}, BODY, BODY | {"model": "Wherefore"}):
        gateway.post(body)
    gateway.post(BODY, headers={"authorization": f"Bearer {gateway.key}x"})
    gateway.wait(lambda: len(of_requests(lines())) == 6)
    written = json.dumps(lines())
    secret = gateway.key.rpartition("-")[2]
    for word in ("Wherefore", "indeed", secret, "abcdefgh12345678"):
        assert word not in written


def test_what_is_logged_for_a_request_has_its_id(
    start: Start, lines: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = start("errors")

    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(gateway.application.traffic._routes, "find", fail)
    response = gateway.post(BODY)
    unexpected, access = (line for line in lines() if line["level"] != "info")
    assert unexpected["request_id"] == access["request_id"] == response.headers["x-request-id"]
    assert "a bug" in unexpected["traceback"]
