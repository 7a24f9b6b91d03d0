"""What the analyst knows of one turn; written to the checkpoint after every step, so plain JSON only.

The caller's key is not in it: it travels as the run's context, which is never written anywhere.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypedDict


class State(TypedDict):
    """One turn of one thread.

    Attributes:
        turn: hash of the messages; the same messages in the same thread are the same turn, asked again.
        said: what the person said so far, newest last; the last one is the question.
        missing: what the person has to say first, where the planner could not go on.
        call: the tool call, as `ToolCall.as_json` shows it.
        steps: what was decided, for whoever looks on.
        model_calls: request id and tokens of each call of the model.
    """

    thread: str
    turn: str
    said: list[str]
    route: str
    tool: str
    arguments: dict[str, Any]
    missing: str
    call: dict[str, Any]
    answer: str
    answer_id: str
    steps: list[dict[str, Any]]
    model_calls: list[dict[str, Any]]


def new_turn(thread: str, messages: Sequence[tuple[str, str]]) -> State:
    """The beginning of a turn.

    Args:
        messages: role and text of each message, oldest first.
    """
    return State(
        thread=thread,
        turn=hashlib.sha256(json.dumps(list(messages)).encode()).hexdigest()[:16],
        said=[text for role, text in messages if role == "user"],
        route="",
        tool="",
        arguments={},
        missing="",
        call={},
        answer="",
        answer_id="",
        steps=[],
        model_calls=[],
    )
