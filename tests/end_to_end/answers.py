"""Asking the chat model, and an answer as a client has it in the end, whether it came whole or in pieces."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import openai
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.end_to_end.running_platform import CHAT_MODEL

CAPITAL = "What is the capital of France?"
USAGE: Any = {"stream": True, "stream_options": {"include_usage": True}}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "rivers": {"type": "integer", "maximum": 9}},
    "required": ["city", "rivers"],
    "additionalProperties": False,
}
CITY_FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}


def request(**options: Any) -> dict[str, Any]:
    """A short chat request; `options` go over it."""
    messages = [{"role": "user", "content": CAPITAL}]
    return {"model": CHAT_MODEL, "messages": messages, "temperature": 0, "max_tokens": 16} | options


@dataclass
class Choice:
    """One of the answer's choices. `logprobs` are (token, logarithm, the likeliest tokens with theirs)."""

    text: str = ""
    finish_reason: str | None = None
    logprobs: list[tuple[str, float, dict[str, float]]] = field(default_factory=list)

    def add_logprobs(self, logprobs: Any) -> None:
        for token in (logprobs and logprobs.content) or []:
            self.logprobs.append((token.token, token.logprob, {top.token: top.logprob for top in token.top_logprobs}))


@dataclass
class Answer:
    """All choices by index, and the usage: prompt and completion tokens."""

    choices: dict[int, Choice] = field(default_factory=dict)
    usage: tuple[int, int] | None = None

    @property
    def text(self) -> str:
        return self.choices[0].text

    @property
    def finish_reason(self) -> str | None:
        return self.choices[0].finish_reason


def ask(client: openai.OpenAI, **options: Any) -> Answer:
    """One plain answer; `options` go over those of `request`."""
    return whole(client.chat.completions.create(**request(**options)))


def whole(completion: ChatCompletion) -> Answer:
    answer = Answer(usage=_tokens(completion.usage))
    for choice in completion.choices:
        taken = answer.choices[choice.index] = Choice(choice.message.content or "", choice.finish_reason)
        taken.add_logprobs(choice.logprobs)
    return answer


def joined(chunks: Iterable[ChatCompletionChunk]) -> Answer:
    answer = Answer()
    for chunk in chunks:
        if chunk.usage:
            assert not answer.usage, "usage comes once"
            answer.usage = _tokens(chunk.usage)
        for choice in chunk.choices:
            taken = answer.choices.setdefault(choice.index, Choice())
            assert not taken.finish_reason, "nothing follows the finish reason"
            taken.text += choice.delta.content or ""
            taken.finish_reason = choice.finish_reason
            taken.add_logprobs(choice.logprobs)
    return answer


def _tokens(usage: CompletionUsage | None) -> tuple[int, int] | None:
    return (usage.prompt_tokens, usage.completion_tokens) if usage else None
