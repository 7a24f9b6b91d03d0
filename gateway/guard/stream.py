"""The guard of a streamed answer: events in, events out, with the text that may be released."""

from typing import TYPE_CHECKING, Any

from gateway.guard.choice import GuardedChoice
from gateway.guard.wire import FILTERED, KEPT, decoded, encoded, fields_of, items_of, number_of
from gateway.sse import EVENT_END, EventCopy
from gateway.upstream_errors import recordable

if TYPE_CHECKING:
    from gateway.guard.answer import AnswerGuard

DONE = b"data: [DONE]\n\n"


class StreamGuard:
    """Rewrites whole events.

    Attributes:
        stopped: every choice has ended and the last one at a violation, so the upstream need not go on.
    """

    def __init__(self, guard: "AnswerGuard", copy: EventCopy) -> None:
        self._guard = guard
        self._copy = copy
        self._choices: dict[int, GuardedChoice] = {}
        self._head: dict[str, Any] = {}  # what all events of the answer share
        self._told = False
        self.stopped = False

    def feed(self, events: bytes) -> bytes:
        """The events to send for these, which are whole.

        Raises:
            UpstreamFailed: one is not of OpenAI's API, so it cannot be checked.
        """
        sent: list[bytes] = []
        done, self._copy.done = self._copy.done, False  # not yet, if one of them is refused
        for event in EVENT_END.split(events):
            lines = event.splitlines()
            data = b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
            if not data or self.stopped:
                continue
            if data == b"[DONE]":
                sent += self._end()
            else:
                sent += self._event(decoded(data))
        self._copy.done = done or self.stopped
        return b"".join(sent)

    def _event(self, event: dict[str, Any]) -> list[bytes]:
        if event.get("error"):
            return [self._error(event["error"])]
        choices = [fields_of(choice) for choice in items_of(event.get("choices"))]
        self._head = {name: event[name] for name in KEPT if name in event and name != "usage"}
        usage = {"usage": event["usage"]} if "usage" in event else {}
        said: list[dict[str, Any]] = []
        ended: list[dict[str, Any]] = []
        for choice in choices:
            self._take(choice, said, ended)
        sent = [self._sse(said, usage)] if said else []
        if ended or (not choices and event.get("usage")):
            sent.append(self._sse(ended, usage))
        if self.stopped:
            sent.append(DONE)
        return sent

    def _take(self, choice: dict[str, Any], said: list[dict[str, Any]], ended: list[dict[str, Any]]) -> None:
        """Take one choice of an event, and put what may be sent of it into `said`, its end into `ended`."""
        index = number_of(choice.get("index", 0))
        guarded = self._choices.setdefault(index, self._guard.choice())
        if guarded.ended:
            return
        kind = guarded.take(choice, "delta")
        reason = choice.get("finish_reason")
        if reason is not None or guarded.blocked:
            guarded.finish()
        if delta := guarded.pop():
            said.append(_choice(index, kind, delta, None))
        if guarded.ended:
            self.stopped = guarded.blocked and self._all_ended
            ended.append(_choice(index, kind, {}, FILTERED if guarded.blocked else reason))

    def _end(self) -> list[bytes]:
        """The upstream has ended: choices that have not are released, and the decisions told if nothing has."""
        said: list[dict[str, Any]] = []
        ended: list[dict[str, Any]] = []
        for index, guarded in self._choices.items():
            if not guarded.ended:
                guarded.finish()
                delta = guarded.pop()
                kind = "text" if "text" in delta else "delta"
                said += [_choice(index, kind, delta, None)] if delta else []
                ended += [_choice(index, kind, {}, FILTERED)] if guarded.blocked else []
        sent = [self._sse(said, {})] if said else []
        if ended or not self._told:
            sent.append(self._sse(ended, {}, last=True))
        return [*sent, DONE]

    def _sse(self, choices: list[dict[str, Any]], usage: dict[str, Any], *, last: bool = False) -> bytes:
        event = {**self._head, "choices": choices, **usage}
        if last or (self._all_ended and not any(choice["finish_reason"] is None for choice in choices)):
            event["guardrails"] = self._guard.tally.field
            self._told = True
        return b"data: " + encoded(event) + b"\n\n"

    def _error(self, error: Any) -> bytes:
        fields = {"message": error} if isinstance(error, str) else fields_of(error)
        message = self._guard.whole(str(fields.get("message") or ""))
        if message is None:
            message = "The upstream failed, and its message was blocked by the key's guardrail policy."
        named = {name: recordable(fields.get(name)) for name in ("type", "param", "code")}
        return b"data: " + encoded({"error": {"message": message, **named}}) + b"\n\n"

    @property
    def _all_ended(self) -> bool:
        return len(self._choices) >= self._guard.choices and all(one.ended for one in self._choices.values())


def _choice(index: int, kind: str, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    content = {"delta": delta} if kind == "delta" else {"text": delta.get("text") or ""}
    return {"index": index, **content, "logprobs": None, "finish_reason": reason}
