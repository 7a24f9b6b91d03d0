"""A streamed answer put together: the plain answer that the same events come to."""

from typing import Any, cast

import msgspec

from gateway.sse import EVENT_END

Fields = dict[str, Any]

_JOINED = frozenset({"content", "reasoning", "reasoning_content", "refusal", "arguments", "text"})
"""Texts that come in pieces; of all other fields the last piece stands for the whole."""

_decoder = msgspec.json.Decoder(Fields)


def assembled(events: bytes) -> bytes:
    """The answer's JSON; the events as they are where they are none of OpenAI's API."""
    answer: Fields = {}
    choices: dict[Any, Fields] = {}
    try:
        for event in EVENT_END.split(events):
            data = b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
            if data and data != b"[DONE]":
                _take(_decoder.decode(data), answer, choices)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, AttributeError):
        return events
    if "object" in answer:
        answer["object"] = str(answer["object"]).removesuffix(".chunk")
    return msgspec.json.encode({**answer, "choices": list(choices.values())})


def _take(event: Fields, answer: Fields, choices: dict[Any, Fields]) -> None:
    for choice in cast("list[Fields]", event.pop("choices", None) or []):
        index = choice.get("index", 0)
        known = choices.setdefault(index, {"index": index})
        delta = cast("Fields | None", choice.pop("delta", None))
        if delta is not None:
            message = cast("Fields", known.setdefault("message", {}))
            _join_calls(message, cast("list[Fields]", delta.pop("tool_calls", None) or []))
            _join(message, delta)
        _join(known, choice)
    answer |= {name: value for name, value in event.items() if value is not None or name not in answer}


def _join(whole: Fields, piece: Fields) -> None:
    for name, value in piece.items():
        if name in _JOINED and isinstance(value, str):
            whole[name] = (whole.get(name) or "") + value
        elif value is not None or name not in whole:
            whole[name] = value


def _join_calls(message: Fields, pieces: list[Fields]) -> None:
    for piece in pieces:
        calls = cast("list[Fields]", message.setdefault("tool_calls", []))
        index = piece.get("index", len(calls))
        call = next((known for known in calls if known["index"] == index), None)
        if call is None:
            call = {"index": index}
            calls.append(call)
        function = cast("Fields | None", piece.pop("function", None))
        _join(call, piece)
        if function:
            _join(cast("Fields", call.setdefault("function", {})), function)
