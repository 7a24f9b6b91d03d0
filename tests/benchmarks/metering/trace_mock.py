"""A model server that answers each request with as many tokens as its field `user` says, and reports them; its own process.

A stream comes in pieces of ten tokens, one every 10 ms: so fast as the trace is played, and no more chunks than needed.
"""

import asyncio
import json
import sys
from typing import Any, cast

import httptools
import uvloop

TOKENS_A_CHUNK = 10
SECONDS_BETWEEN = 0.010
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "trace"}
HEAD = b"HTTP/1.1 %d OK\r\ncontent-type: %b\r\n%b\r\n\r\n"


class TraceMock(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""
        self.streaming: asyncio.Task[None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self.streaming:
            self.streaming.cancel()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        try:
            request = json.loads(self.body)
            _, prompt, completion = request["user"].split(":")
        except (ValueError, KeyError):  # health checks, and questions for what a mock does not know
            self.transport.write(HEAD % (404, b"text/plain", b"content-length: 0"))
            return
        usage = {"prompt_tokens": int(prompt), "completion_tokens": int(completion)}
        usage["total_tokens"] = sum(usage.values())
        if request.get("stream"):
            self.streaming = asyncio.get_running_loop().create_task(self._stream(usage))
            return
        message = {"role": "assistant", "content": "Paris " * usage["completion_tokens"]}
        choices = [{"index": 0, "message": message, "finish_reason": "length"}]
        answer = json.dumps({**CHUNK, "object": "chat.completion", "choices": choices, "usage": usage}).encode()
        self.transport.write(HEAD % (200, b"application/json", b"content-length: %d" % len(answer)) + answer)

    async def _stream(self, usage: dict[str, int]) -> None:
        self.transport.write(HEAD % (200, b"text/event-stream", b"transfer-encoding: chunked"))
        left = usage["completion_tokens"]
        while left > 0:
            some = min(left, TOKENS_A_CHUNK)
            left -= some
            delta = {"content": "Paris " * some}
            self._event([{"index": 0, "delta": delta, "finish_reason": None if left else "length"}])
            await asyncio.sleep(SECONDS_BETWEEN)
        self._event([], usage=usage)
        self._piece(b"data: [DONE]\n\n")
        self.transport.write(b"0\r\n\r\n")

    def _event(self, choices: list[dict[str, Any]], **further: Any) -> None:
        self._piece(b"data: " + json.dumps({**CHUNK, "choices": choices, **further}).encode() + b"\n\n")

    def _piece(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(TraceMock, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
