"""The side copy of a stream that has a lease: it counts what the engine has written, and cuts where the lease ends."""

import time
from typing import Any

import msgspec
from msgspec import Raw

from gateway.sse import EVENT_END, EventCopy

IN_FLIGHT_TOKENS = 64
"""What an engine may have written beyond what was read, for each answer, when its connection is closed."""


class _Choice(msgspec.Struct):
    delta: dict[str, Raw] | None = None
    text: str | None = None

    @property
    def size(self) -> int:
        """UTF-8 bytes of what it says, at least; 0 for a role or a finish reason alone."""
        if self.delta is None:
            return len((self.text or "").encode())
        return sum(_size(value) for name, value in self.delta.items() if name != "role")


class _Event(msgspec.Struct):
    choices: list[_Choice] = []


_decoder = msgspec.json.Decoder(_Event)
_chunk = msgspec.json.Decoder(dict[str, Any])


class LeasedCopy(EventCopy):
    """Reads along, as `EventCopy`, and counts.

    The engine was told how much it may write and mostly keeps to it; where it does not, the client gets a last chunk
    with `finish_reason: "length"` and the stream ends (`done` and `cut`), so that the upstream can be closed.

    Args:
        choices: answers in this stream.
        most: tokens of all of them together.
    """

    __slots__ = ("_choices", "_first", "_last", "_most", "_pieces", "_read_at", "_written")

    def __init__(self, *, hide_usage: bool, choices: int, most: int) -> None:
        super().__init__(hide_usage=hide_usage)
        self._choices = choices
        self._most = most
        self._pieces = 0
        self._written = 0
        self._first = self._read_at = time.perf_counter()
        self._last = b""

    def feed(self, piece: bytes) -> bytes:
        events = super().feed(piece)
        self._read_at = time.perf_counter()
        start = 0
        for end in EVENT_END.finditer(events):
            data = events[start : end.start()].removeprefix(b"data:").strip()
            if not self._count(data):
                self.done = self.cut = True
                return events[:start] + self._ending()
            start = end.end()
        return events

    def at_most_written(self, now: float) -> int:
        """The most tokens that the engine can have written by `now` (`time.perf_counter()`), if it stops at once.

        Each piece of text is one token at least and has no more tokens than bytes. For a client that reads slowly the
        engine may have gone on beyond what was read, at its own pace.
        """
        pace = self._written / max(self._read_at - self._first, 0.1)
        return self._written + int(pace * (now - self._read_at)) + IN_FLIGHT_TOKENS * self._choices

    def _count(self, data: bytes) -> bool:
        """Count one event; False where it is beyond the lease."""
        try:
            choices = _decoder.decode(data).choices
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return True
        for choice in choices:
            if size := choice.size:
                self._written += size
                self._pieces += 1
                self._last = data
        return self._pieces <= self._most

    def _ending(self) -> bytes:
        """What an engine sends when it ends an answer for its length."""
        chunk = _chunk.decode(self._last)
        empty: dict[str, Any] = {"text": ""} if "text" in chunk["choices"][0] else {"delta": {}}
        ends = [{"index": i, **empty, "logprobs": None, "finish_reason": "length"} for i in range(self._choices)]
        kept = {name: chunk[name] for name in ("id", "object", "created", "model") if name in chunk}
        return b"data: " + msgspec.json.encode(kept | {"choices": ends}) + b"\n\ndata: [DONE]\n\n"


def _size(value: Raw) -> int:
    raw = bytes(value)
    return 0 if raw in (b"null", b'""', b"[]") else max(1, len(raw) - 2)
