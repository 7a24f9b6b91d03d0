"""The side copy of an event stream: what it says about usage, errors and its end, without delaying what is forwarded.

Server-sent events end with a blank line (WHATWG HTML, section 9.2). Only whole events are forwarded, so that one can be
held back or taken out; almost every piece that arrives is whole and passes after three substring searches.
"""

import re

import msgspec

from gateway.tokens import TokenUsage
from sluice.errors import UpstreamFailed

EVENT_STREAM = b"text/event-stream"
EVENT_END = re.compile(rb"\r?\n\r?\n")
MAX_EVENT_BYTES = 4 * 1024 * 1024


class _Error(msgspec.Struct):
    message: str = ""
    code: str | int | None = None


class _Event(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: TokenUsage | None = None
    error: _Error | None = None


_decoder = msgspec.json.Decoder(_Event)


class EventCopy:
    """Reads along an OpenAI event stream.

    Args:
        hide_usage: take the last, usage-only event out of what is forwarded, because the gateway asked for it and the
            client did not.

    Attributes:
        done: the stream has had its end; `cut`: and it was not the upstream that ended it.
        usage: the last that was reported; `whole`: of all the answer, since some servers tell it with every event.
    """

    __slots__ = ("_hide_usage", "_rest", "cut", "done", "error", "events", "usage", "whole")

    def __init__(self, *, hide_usage: bool) -> None:
        self._hide_usage = hide_usage
        self._rest = b""
        self.usage: TokenUsage | None = None
        self.error: _Error | None = None
        self.events = 0
        self.done = self.cut = self.whole = False

    def feed(self, piece: bytes) -> bytes:
        """Take the next bytes of the stream; give those that may be forwarded now: whole events, possibly none.

        Raises:
            UpstreamFailed: one event is longer than `MAX_EVENT_BYTES`.
        """
        if self._rest:
            piece = self._rest + piece
        if piece.endswith(b"\n\n"):
            self._rest = b""
        else:
            end = _end_of_whole_events(piece)
            piece, self._rest = piece[:end], piece[end:]
            if len(self._rest) > MAX_EVENT_BYTES:
                raise UpstreamFailed(f"The upstream sent an event longer than {MAX_EVENT_BYTES} bytes.")
        self.events += piece.count(b"data:")
        if b'"usage"' in piece or b"[DONE]" in piece or b'"error"' in piece:
            return self._read(piece)
        return piece

    def _read(self, piece: bytes) -> bytes:
        """Look into each event, and take out the usage event if it is to be hidden."""
        kept: list[bytes] = []
        start = 0
        for end in EVENT_END.finditer(piece):
            event = piece[start : end.end()]
            start = end.end()
            if not self._is_hidden(event):
                kept.append(event)
        return b"".join(kept)

    def _is_hidden(self, event: bytes) -> bool:
        data = event[5:].strip() if event.startswith(b"data:") else b""
        if data == b"[DONE]":
            self.done = self.whole = True
            return False
        try:
            parsed = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if parsed.error:
            self.error = parsed.error
        if parsed.usage is None:
            return False
        self.usage = parsed.usage
        self.whole = parsed.choices == []
        return self._hide_usage and self.whole


def _end_of_whole_events(piece: bytes) -> int:
    end = 0
    for mark in (b"\n\n", b"\r\n\r\n"):
        at = piece.rfind(mark)
        if at >= 0:
            end = max(end, at + len(mark))
    return end
