"""One choice of an answer on its way to the client: each of its texts through a hold-back, one after the other."""

from typing import Any, NamedTuple

from gateway.guard.tally import Tally
from gateway.guard.wire import fields_of, items_of, not_checkable, number_of
from sluice.errors import UpstreamFailed
from sluice.guardrails import HoldBack, Policy

TEXTS = ("reasoning", "reasoning_content", "content", "refusal")
"""The texts of a message or delta, in the order in which a model writes them; tool calls come after."""


class Field(NamedTuple):
    """A text of a choice: its place in the order, and whose arguments it is if it is a tool call's."""

    order: int
    name: str
    call: int = 0


class GuardedChoice:
    """What may be sent of a choice so far. A whole message is one long delta, so streamed and plain agree.

    Attributes:
        blocked: it ended at a violation.
        ended: nothing of it follows.
    """

    def __init__(self, policy: Policy, tally: Tally) -> None:
        self._policy = policy
        self._tally = tally
        self._field: Field | None = None
        self._held: HoldBack | None = None
        self._delta: dict[str, Any] = {}
        self.blocked = False
        self.ended = False

    def take(self, choice: dict[str, Any], name: str) -> str:
        """Take a choice of an answer or of an event: its `name` (`message`, `delta`), or a completion's `text`.

        Returns the name of what it has; what cannot be checked is left out.

        Raises:
            UpstreamFailed: it has not the shape of OpenAI's API, or comes back to a text after another has begun.
        """
        if choice.get(name) is None:
            self.take_text(Field(0, "text"), choice.get("text"))
            return "text"
        said = fields_of(choice[name])
        if isinstance(role := said.get("role"), str) and role.isalpha():
            self._delta["role"] = role
        for order, text in enumerate(TEXTS):
            if text == "reasoning_content" and said.get("reasoning"):
                continue  # the older name, beside the newer for the same text
            if text in said:
                self.take_text(Field(order, text), said[text])
        for number, call in enumerate(items_of(said.get("tool_calls"))):
            self._take_call(fields_of(call), number)
        return name

    def take_text(self, field: Field, text: Any) -> None:
        """Take the next piece of one text."""
        if text is not None and not isinstance(text, str):
            raise not_checkable()
        if self.blocked:
            return
        if not text:
            if field.name != "tool_calls":
                self._delta.setdefault(field.name, text)
        elif self._field is not None and field.order < self._field.order:
            if not text.isspace():  # some servers send line ends between tool calls as content
                raise UpstreamFailed("The upstream came back to a text of its answer that had ended.")
            self._put(field, text)
        elif self._open(field) and self._held is not None:
            self._put(field, self._held.feed(text))
            self.blocked = self._held.blocked

    def finish(self) -> None:
        """The choice has ended: release what is kept back."""
        if self._held is not None and self._field is not None and not self.blocked:
            self._put(self._field, self._held.finish())
            self.blocked = self._held.blocked
        self._held = None
        self.ended = True

    def pop(self) -> dict[str, Any]:
        """The delta of what may be sent since the last time; empty if there is nothing."""
        delta, self._delta = self._delta, {}
        return delta

    def _open(self, field: Field) -> bool:
        """Begin with a text, which ends the one before; False where that met a violation."""
        if field != self._field:
            ended = self.ended
            self.finish()
            self.ended = ended
            self._field = field
            self._held = self._policy.hold_back(self._tally.add, json=field.name == "tool_calls")
        return not self.blocked

    def _take_call(self, call: dict[str, Any], number: int) -> None:
        function = fields_of(call.get("function"))
        index = number_of(call.get("index", number))
        field = Field(len(TEXTS) + index, "tool_calls", index)
        if (name := function.get("name")) and self._open(field):
            self._put_call_head(index, call.get("id"), name)
        self.take_text(field, function.get("arguments"))

    def _put_call_head(self, index: int, call_id: Any, name: Any) -> None:
        """A call's id, which some models write themselves, and the name of its function: checked as a whole."""
        checked: list[str | None] = []
        for said in (call_id, name):
            if said is not None and not isinstance(said, str):
                raise not_checkable()
            held = self._policy.hold_back(self._tally.add)
            checked.append(said and held.feed(said) + held.finish())
            self.blocked = self.blocked or held.blocked
        if not self.blocked:
            call = self._call(index)
            call |= {"id": checked[0], "type": "function"}
            call["function"]["name"] = checked[1]

    def _put(self, field: Field, text: str) -> None:
        if not text:
            return
        if field.name == "tool_calls":
            self._call(field.call)["function"]["arguments"] += text
        else:
            self._delta[field.name] = (self._delta.get(field.name) or "") + text

    def _call(self, index: int) -> dict[str, Any]:
        calls: list[dict[str, Any]] = self._delta.get("tool_calls") or []
        self._delta["tool_calls"] = calls
        for entry in calls:
            if entry["index"] == index:
                return entry
        calls.append({"index": index, "function": {"arguments": ""}})
        return calls[-1]
