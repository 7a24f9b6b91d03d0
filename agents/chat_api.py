"""Agents on `/v1/chat/completions`: OpenAI's shape, streamed or not.

`usage` says zero: every call of a model that the agent makes goes through the gateway and is metered there, and would
be counted twice if the agent's own answer counted it again. The sum stands in `metadata`.
"""

import json
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict

from agents.analyst.turns import End, Event, Step, Text
from sluice.errors import InvalidRequest, SluiceError, openai_body

log = logging.getLogger(__name__)

NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
PREFIX = "agent/"


class Part(BaseModel):
    """A part of a message."""

    type: str
    text: str | None = None


class Message(BaseModel):
    """One message of the conversation."""

    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """What it says."""
        return (
            self.content if isinstance(self.content, str) else "".join(part.text or "" for part in self.content or [])
        )


class StreamOptions(BaseModel):
    """OpenAI's `stream_options`."""

    include_usage: bool = False


class Metadata(BaseModel):
    """OpenAI's `metadata`, of which one key matters here."""

    model_config = ConfigDict(extra="allow")

    thread_id: str | None = None


class ChatRequest(BaseModel):
    """What an agent reads of a chat request; sampling and the like are its own business."""

    model: str
    messages: list[Message]
    stream: bool = False
    stream_options: StreamOptions | None = None
    metadata: Metadata | None = None

    def said(self) -> list[tuple[str, str]]:
        """Role and text of each message.

        Raises:
            InvalidRequest: the last message is not a question of the user's, or one holds more than text.
        """
        parts = [part for message in self.messages if isinstance(message.content, list) for part in message.content]
        if (other := next((part.type for part in parts if part.type != "text"), None)) is not None:
            raise InvalidRequest(f"Agents read text only, not '{other[:40]}'.", fix="Leave it out.", param="messages")
        if any(part.text is None for part in parts):
            raise InvalidRequest("A part of type 'text' has no text.", fix="Give it one.", param="messages")
        if not self.messages or self.messages[-1].role != "user" or not self.messages[-1].text.strip():
            raise InvalidRequest("The last message must be the user's, with a text.", param="messages")
        return [(message.role, message.text) for message in self.messages]


async def answer(request: ChatRequest, events: AsyncIterator[Event]) -> Response:
    """The whole answer, or its stream; what fails before the first event is a plain error either way."""
    if not request.stream:
        return JSONResponse(await _whole(request, events))
    first = await anext(events)
    headers = {"cache-control": "no-cache"}
    return StreamingResponse(_stream(request, first, events), media_type="text/event-stream", headers=headers)


async def _whole(request: ChatRequest, events: AsyncIterator[Event]) -> dict[str, Any]:
    text, told = "", dict[str, Any]()
    async for event in events:
        match event:
            case Text():
                text += event.text
            case Step():
                pass  # all of them stand in the end's
            case End():
                told = event.told
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None, "finish_reason": "stop"}
    body = _envelope(request, "chat.completion", _new_id())
    return {**body, "choices": [choice], "usage": NO_USAGE, "metadata": told}


async def _stream(request: ChatRequest, first: Event, events: AsyncIterator[Event]) -> AsyncGenerator[bytes]:
    body = _envelope(request, "chat.completion.chunk", _new_id())

    def chunk(delta: dict[str, str], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _sse({**body, "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": ""})
    try:
        async for event in _chained(first, events):
            match event:
                case Text():
                    yield chunk({"content": event.text})
                case Step():
                    yield chunk({}, metadata={"step": event.told})
                case End():
                    yield chunk({}, "stop", metadata=event.told)
        if request.stream_options and request.stream_options.include_usage:
            yield _sse({**body, "choices": [], "usage": NO_USAGE})
    except SluiceError as error:
        yield _sse(openai_body(error))
    except Exception:
        log.exception("an agent failed in the middle of its answer")
        yield _sse(openai_body(SluiceError("The agent failed unexpectedly.", fix="The services' log says how.")))
    yield b"data: [DONE]\n\n"


async def _chained(first: Event, rest: AsyncIterator[Event]) -> AsyncGenerator[Event]:
    yield first
    async for event in rest:
        yield event


def _envelope(request: ChatRequest, kind: str, answer_id: str) -> dict[str, Any]:
    return {"id": answer_id, "object": kind, "created": int(time.time()), "model": request.model}


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"


def _sse(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
