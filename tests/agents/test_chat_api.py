"""What an agent reads of a chat request."""

from typing import Any

import pytest

from agents.chat_api import ChatRequest
from sluice.errors import InvalidRequest


def said(*parts: dict[str, Any]) -> list[tuple[str, str]]:
    message = {"role": "user", "content": parts}
    return ChatRequest.model_validate({"model": "agent/analyst", "messages": [message]}).said()


def test_texts_in_parts_are_read_as_one() -> None:
    assert said({"type": "text", "text": "How many "}, {"type": "text", "text": "left?"}) == [
        ("user", "How many left?")
    ]


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"type": "", "text": "x"}, "Agents read text only, not ''. Leave it out."),
        ({"type": "file", "file": {}}, "Agents read text only, not 'file'. Leave it out."),
        ({"type": "text"}, "A part of type 'text' has no text. Give it one."),
    ],
)
def test_a_part_that_is_no_text_is_refused(part: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        said({"type": "text", "text": "How many left?"}, part)
    assert (str(refused.value), refused.value.param) == (why, "messages")
