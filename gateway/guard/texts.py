"""The texts of a request's body that go to a model."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, cast

from sluice.errors import InvalidRequest

OWNERS = ("system", "developer")
"""Roles in which the application speaks, not its user."""
SAID = ("content", "reasoning", "reasoning_content", "refusal")
PART_TEXTS = ("text", "refusal")
NAMED = ("model", "messages", "prompt", "suffix", "input")
MEDIA = {"image_url", "video_url", "audio_url", "input_audio", "image_embeds", "audio_embeds", "file"}
PASSED_OVER = {"id", "tool_call_id", *MEDIA}
"""A call's handles; pictures, recordings and files, or their addresses."""
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\\\")
HARMLESS = re.compile("[A-Za-z_]{0,15}")
"""Words such as a role or a type: no validator finds anything in so few letters."""


@dataclass(frozen=True)
class Text:
    """One of them, where it lies in the decoded body.

    Attributes:
        where: its path, to be shown.
        of_owner: the application wrote it; it may tell the model what to do.
    """

    holder: Any
    key: str | int
    where: str
    of_owner: bool = False

    @property
    def value(self) -> str:
        """As it stands in the body now."""
        return self.holder[self.key]

    def replace(self, value: str) -> None:
        """Put another in its place."""
        self.holder[self.key] = value


def texts_of(body: dict[str, Any]) -> Iterator[Text]:
    """Every text of a body: what messages, prompts and inputs of embeddings say, and whatever stands in other fields.

    Which of those a server puts before its model is its own business: descriptions of tools, documents, and so on.

    Raises:
        InvalidRequest: token ids instead of text, or a shape that OpenAI's API does not have: it cannot be checked.
    """
    for number, message in enumerate(_list(body.get("messages"), "messages")):
        if not isinstance(message, dict):
            raise _not_checkable(f"messages[{number}]")
        yield from _of_message(cast("dict[str, Any]", message), f"messages[{number}]")
    for name in ("prompt", "suffix", "input"):
        yield from _strings(body, name, name, of_owner=False)
    if body.get("prompt_embeds") is not None:
        raise _not_checkable("prompt_embeds")
    for name in [name for name in body if name not in NAMED]:
        yield from all_within(body, name, name, of_owner=name != "documents")


def _of_message(message: dict[str, Any], where: str) -> Iterator[Text]:
    of_owner = message.get("role") in OWNERS
    for name in SAID:
        yield from _strings(message, name, f"{where}.{name}", of_owner=of_owner)
    for function in _functions(message):
        _spell_out(function)
    for name in [name for name in message if name not in (*SAID, "tool_call_id")]:
        yield from all_within(message, name, f"{where}.{name}", of_owner=of_owner)


def _functions(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a message calls; `function_call` is the older form."""
    calls = [message.get("function_call")]
    if isinstance(listed := message.get("tool_calls"), list):
        calls += [call.get("function") for call in cast("list[Any]", listed) if isinstance(call, dict)]
    for function in calls:
        if isinstance(function, dict):
            yield cast("dict[str, Any]", function)


def _spell_out(function: dict[str, Any]) -> None:
    r"""Write a call's arguments, which are JSON, without escapes such as `\u0040`, which would hide an `@`."""
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        function["arguments"] = _ESCAPE.sub(_meant, arguments)


def _meant(escape: re.Match[str]) -> str:
    character = chr(int(escape[1] or "0", 16))
    needed = character < " " or character in '"\\' or "\ud800" <= character <= "\udfff"
    return escape[0] if needed else character


def all_within(
    holder: Any, key: str | int, where: str, *, of_owner: bool, passed_over: Collection[str] = PASSED_OVER
) -> Iterator[Text]:
    """Every text in a value, whatever its shape. Nothing is shown of its inside, where names are the client's own."""
    waiting = [(holder, key)]
    while waiting:
        holder, key = waiting.pop()
        value: Any = holder[key]
        if isinstance(value, str):
            if not HARMLESS.fullmatch(value):
                yield Text(holder, key, where, of_owner)
        elif isinstance(value, dict):
            waiting += [(value, name) for name in cast("dict[str, Any]", value) if name not in passed_over]
        elif isinstance(value, list):
            waiting += [(value, number) for number in range(len(cast("list[Any]", value)))]


def _strings(holder: dict[str, Any], key: str, where: str, *, of_owner: bool) -> Iterator[Text]:
    """A text, or a list of texts and content parts; pictures and recordings are passed over."""
    value: Any = holder.get(key)
    if isinstance(value, str):
        yield Text(holder, key, where, of_owner)
    elif isinstance(value, list):
        for number, part in enumerate(cast("list[Any]", value)):
            place = f"{where}[{number}]"
            if isinstance(part, str):
                yield Text(value, number, place, of_owner)
            elif isinstance(part, dict):
                fields = cast("dict[str, Any]", part)
                for name in PART_TEXTS:
                    yield from _strings(fields, name, f"{place}.{name}", of_owner=of_owner)
                for name in [name for name in fields if name not in PASSED_OVER and name not in PART_TEXTS]:
                    yield from all_within(fields, name, place, of_owner=of_owner)
            else:
                raise _not_checkable(place)
    elif value is not None:
        raise _not_checkable(where)


def _list(value: Any, where: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise _not_checkable(where)
    return cast("list[Any] | None", value) or []


def _not_checkable(where: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{where}' is no text, so the key's guardrail policy cannot check it.",
        fix="Send text, not token ids.",
        param=where,
    )
