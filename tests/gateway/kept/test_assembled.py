import json
from typing import Any

import pytest

from gateway.kept.assembled import assembled
from tests.doubles.openai_answers import plain_answer, sse, streamed_answer

REQUEST: dict[str, Any] = {
    "model": "m",
    "n": 2,
    "messages": [],
    "prompt": "a b",
    "stream_options": {"include_usage": True},
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_it_is_the_plain_answer(path: str) -> None:
    plain = plain_answer(path, REQUEST)
    assert plain is not None
    for choice in plain["choices"]:
        choice.get("message", {}).pop("tool_calls", None)
    assert json.loads(assembled(b"".join(streamed_answer(path, REQUEST)))) == plain


def test_tool_calls() -> None:
    calls: list[dict[str, Any]] = [
        {"index": 0, "id": "call-1", "type": "function", "function": {"name": "add", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a"'}},
        {"index": 1, "id": "call-2", "type": "function", "function": {"name": "sub", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": ":1}"}},
    ]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}, *({"tool_calls": [call]} for call in calls)]
    events = [sse({"id": "c", "choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    events.append(sse({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}))
    (choice,) = json.loads(assembled(b"".join(events)))["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert [(call["id"], call["function"]) for call in choice["message"]["tool_calls"]] == [
        ("call-1", {"name": "add", "arguments": '{"a":1}'}),
        ("call-2", {"name": "sub", "arguments": "{}"}),
    ]


def test_a_stream_that_broke_off_is_what_came_of_it() -> None:
    events = list(streamed_answer("/v1/chat/completions", REQUEST | {"n": 1}))[:3]
    (choice,) = json.loads(assembled(b"".join(events)))["choices"]
    assert choice["message"]["content"] == "Hello from"
    assert choice["finish_reason"] is None


@pytest.mark.parametrize(
    "events",
    [
        b"data: no JSON\n\n",
        b"data: [1]\n\n",
        b'data: {"choices": 1}\n\n',
        b'data: {"choices": [1]}\n\n',
        b'data: {"choices": [{"index": [], "delta": {}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": {"a": 1}}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": 5}]}}]}\n\n',
        b"data: \xff\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
)
def test_what_is_no_answer_is_kept_as_it_is(events: bytes) -> None:
    assert assembled(events) == events
