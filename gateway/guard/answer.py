"""The guard of one answer: a plain one at once, a streamed one event by event, an upstream's error."""

import asyncio
from typing import Any

from gateway.guard.choice import GuardedChoice
from gateway.guard.stream import StreamGuard
from gateway.guard.tally import Tally
from gateway.guard.wire import FILTERED, KEPT, decoded, encoded, fields_of, items_of
from gateway.sse import EventCopy
from sluice.errors import SluiceError, UpstreamFailed, UpstreamRefused
from sluice.guardrails import Policy

LARGE = 8 * 1024
"""Bytes from which a plain answer is checked off the event loop."""


class AnswerGuard:
    """Checks the answer to one request.

    Args:
        choices: how many choices the answer will have.
    """

    def __init__(self, policy: Policy, tally: Tally, choices: int) -> None:
        self.policy = policy
        self.tally = tally
        self.choices = choices

    async def plain(self, body: bytes) -> bytes:
        """A whole answer as it may be sent.

        Raises:
            UpstreamFailed: it is none of OpenAI's API, so it cannot be checked.
        """
        return await asyncio.to_thread(self._plain, body) if len(body) > LARGE else self._plain(body)

    def stream(self, copy: EventCopy) -> StreamGuard:
        """For the events of a streamed answer."""
        return StreamGuard(self, copy)

    def choice(self) -> GuardedChoice:
        """For one choice of the answer."""
        return GuardedChoice(self.policy, self.tally)

    def checked(self, error: SluiceError) -> SluiceError:
        """An error to tell the client; what an upstream says of its own failure may repeat a text."""
        if not isinstance(error, UpstreamRefused):
            return error
        message = self.whole(error.message)
        if message is None:
            return UpstreamFailed("The upstream failed, and its message was blocked by the key's guardrail policy.")
        checked = UpstreamRefused(message, status=error.status, param=error.param, code=error.code)
        checked.retry_after = error.retry_after
        return checked

    def whole(self, text: str) -> str | None:
        """A short text as it may be sent; None where it is blocked."""
        held = self.policy.hold_back(self.tally.add)
        released = held.feed(text) + held.finish()
        return None if held.blocked else released

    def _plain(self, body: bytes) -> bytes:
        answer = decoded(body)
        choices = [fields_of(choice) for choice in items_of(answer.get("choices"))]
        if not choices:
            raise UpstreamFailed("The upstream's answer has no choices, so the key's guardrail policy cannot check it.")
        sent = {name: answer[name] for name in KEPT if name in answer}
        sent["choices"] = [self._choice(choice) for choice in choices]
        return encoded(sent | {"guardrails": self.tally.field})

    def _choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        guarded = self.choice()
        said = guarded.take(choice, "message")
        guarded.finish()
        message = {"content" if said == "message" else "text": ""} | guarded.pop()
        for call in message.get("tool_calls", ()):
            del call["index"]
        content = {said: message} if said == "message" else message
        reason = FILTERED if guarded.blocked else choice.get("finish_reason")
        return {"index": choice.get("index"), **content, "logprobs": None, "finish_reason": reason}
