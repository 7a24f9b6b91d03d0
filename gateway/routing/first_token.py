"""The time-out of a stream's first token.

The head of a stream says nothing: vLLM sends it before it has begun, others send an event with the role. What counts is
the first event with content, and until then the stream may still be given up for another upstream's.
"""

import time

import msgspec
from msgspec import Raw

from gateway.sse import EVENT_END
from gateway.upstream import UpstreamResponse
from gateway.upstream_errors import error_of
from sluice.errors import UpstreamFailed, UpstreamTimeout

HELD_BYTES = 64 * 1024
"""More than this is not held back for want of content."""
EMPTY = frozenset({b"null", b'""', b"[]", b"{}"})


class _Choice(msgspec.Struct):
    delta: dict[str, Raw] | None = None
    text: str | None = None
    finish_reason: str | None = None

    @property
    def says_something(self) -> bool:
        """Whether there is more in it than a role."""
        said = self.delta or {}
        content = any(name != "role" and bytes(value) not in EMPTY for name, value in said.items())
        return content or bool(self.text) or self.finish_reason is not None


class _Error(msgspec.Struct):
    code: str | int | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: _Error | None = None


_decoder = msgspec.json.Decoder(_Event)


class AwaitedStream:
    """A stream whose first token has not come yet; implements `UpstreamResponse`. Once it is there, this steps aside.

    Args:
        name: of the upstream, for errors.
        seconds: for the first token, from `began` (`time.monotonic()`).
    """

    def __init__(self, response: UpstreamResponse, name: str, seconds: float, began: float) -> None:
        self.status = response.status
        self.headers = response.headers
        self.content_type = response.content_type
        self.idle_seconds = response.idle_seconds
        self._response = response
        self._name = name
        self._seconds = seconds
        self._deadline = began + seconds
        self._held: list[bytes] = []
        self._rest = b""
        self._begun = False

    async def hold(self) -> None:
        """Wait for the first token; what came with it is kept for `chunk`.

        Raises:
            UpstreamFailed: the stream ended without one.
            UpstreamTimeout: it did not come in time.
            SluiceError: the stream told of an error instead.
        """
        while not self._begun:
            piece = await self._next(refuse_errors=True)
            if not piece:
                raise UpstreamFailed("The upstream ended its stream before the answer was complete.")
            self._held.append(piece)

    async def chunk(self) -> bytes:
        if self._begun:
            self.chunk = self._response.chunk
        if self._held:
            held, self._held = self._held, []
            return b"".join(held)
        return await self._next()

    async def read(self) -> bytes:
        parts: list[bytes] = []
        while piece := await self.chunk():
            parts.append(piece)
        return b"".join(parts)

    def close(self) -> None:
        self._response.close()

    async def _next(self, *, refuse_errors: bool = False) -> bytes:
        if not self._begun:
            self._response.idle_seconds = max(0.0, self._deadline - time.monotonic())
        try:
            piece = await self._response.chunk()
        except UpstreamTimeout:
            if self._begun:
                raise
            limit = f"{self._seconds:g} s (first_token_seconds)"
            raise UpstreamTimeout(f"The upstream '{self._name}' wrote no token within {limit}.") from None
        if not self._begun and self._begins(piece, refuse_errors=refuse_errors):
            self._begun = True
            self._response.idle_seconds = self.idle_seconds
        return piece

    def _begins(self, piece: bytes, *, refuse_errors: bool) -> bool:
        """Whether the answer has begun with this piece, or whatever else there is to forward at once."""
        piece = self._rest + piece
        start = 0
        for end in EVENT_END.finditer(piece):
            lines = piece[start : end.start()].splitlines()
            data = b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
            start = end.end()
            if data == b"[DONE]":
                return True
            try:
                event = _decoder.decode(data)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                if data.startswith(b"{") and isinstance(error, msgspec.ValidationError):
                    return True  # something is said, in a way that is not OpenAI's
                continue
            if event.error is not None:
                if refuse_errors:
                    code = event.error.code
                    raise error_of(code if isinstance(code, int) and 400 <= code < 600 else 502, data)
                return True
            if any(choice.says_something for choice in event.choices or ()):
                return True
        self._rest = piece[start:]
        return len(self._rest) + sum(map(len, self._held)) > HELD_BYTES
