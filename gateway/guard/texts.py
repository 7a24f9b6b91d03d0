"""The texts of a request's body that go to a model."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from sluice.errors import InvalidRequest

OWNERS = ("system", "developer")
"""Roles in which the application speaks, not its user."""
SAID = ("content", "reasoning", "reasoning_content", "refusal")


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
    """Messages (content, its parts, tool calls' arguments), prompts, and inputs of embeddings.

    Raises:
        InvalidRequest: token ids instead of text, or a shape that OpenAI's API does not have: it cannot be checked.
    """
    for number, message in enumerate(_list(body.get("messages"), "messages")):
        if not isinstance(message, dict):
            raise _not_checkable(f"messages[{number}]")
        yield from _of_message(cast("dict[str, Any]", message), f"messages[{number}]")
    for name in ("prompt", "suffix", "input"):
        value = body.get(name)
        if isinstance(value, dict) and name == "prompt":
            continue  # a stored prompt, which has become messages
        yield from _strings(body, name, name, of_owner=False)


def _of_message(message: dict[str, Any], where: str) -> Iterator[Text]:
    of_owner = message.get("role") in OWNERS
    for name in SAID:
        yield from _strings(message, name, f"{where}.{name}", of_owner=of_owner)
    for number, call in enumerate(_list(message.get("tool_calls"), f"{where}.tool_calls")):
        place = f"{where}.tool_calls[{number}]"
        if isinstance(call, dict):
            function = cast("dict[str, Any]", call).get("function")
            if isinstance(function, dict):
                yield from _strings(
                    cast("dict[str, Any]", function), "arguments", f"{place}.function.arguments", of_owner=False
                )


def _strings(holder: dict[str, Any], key: str, where: str, *, of_owner: bool) -> Iterator[Text]:
    """A text, or a list of texts and content parts; a part without text, such as an image, is passed over."""
    value: Any = holder.get(key)
    if isinstance(value, str):
        yield Text(holder, key, where, of_owner)
    elif isinstance(value, list):
        for number, part in enumerate(cast("list[Any]", value)):
            place = f"{where}[{number}]"
            if isinstance(part, str):
                yield Text(value, number, place, of_owner)
            elif isinstance(part, dict):
                for name in ("text", "refusal"):
                    yield from _strings(cast("dict[str, Any]", part), name, f"{place}.{name}", of_owner=of_owner)
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
