"""A mock of vLLM that streams 100 chunks, one every 10 ms; its own process.

Each chunk is marked with the moment it was sent, unless the request asks for words (`wants_words`): those a guardrail
lets through, as it would a model's answer.
"""

import asyncio
import json
import re
import secrets
import sys
import time
from typing import Any, cast

import httptools
import uvloop
from gateways.launching import CHAT
from gateways.mocks import ANSWER

CHUNKS = 100
SECONDS_BETWEEN = 0.010
WORDS = re.findall(r"\S+", "The capital of France is Paris, which lies on the Seine; ask for more and I will tell you.")
TEXT = "".join(f" {WORDS[number % len(WORDS)]}" for number in range(CHUNKS))
PLAIN = ANSWER.encode()
OTHER = (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
"""Answers to what is no chat completion: gateways probe all kinds of paths, and only /health is there."""
HEAD = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: %b\r\n%b\r\n\r\n"


def wants_words(request: dict[str, Any]) -> bool:
    """Whether a request asks for `TEXT`, a word a chunk."""
    return request.get("user") == "words"


class Mock(asyncio.Protocol):
    """One connection: answers requests, one after another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = b""
        self.path = b""

    def on_url(self, url: bytes) -> None:
        self.path += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.path != CHAT.encode():
            self.transport.write(OTHER[self.path == b"/health"])
            return
        request = json.loads(self.body)
        if not request.get("stream"):
            self.transport.write(HEAD % (b"application/json", b"content-length: %d" % len(PLAIN)) + PLAIN)
            return
        self.words = wants_words(request)
        self.with_usage = bool((request.get("stream_options") or {}).get("include_usage"))
        self.start = f'data: {{"id":"chatcmpl-{secrets.token_hex(8)}","object":"chat.completion.chunk",'
        self.start += '"created":1795544046,"model":"mock",'
        self.transport.write(HEAD % (b"text/event-stream; charset=utf-8", b"transfer-encoding: chunked"))
        self.send(
            '"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}'
        )
        self.began = self.loop.time()
        self.sent = 0
        self.schedule_chunk()

    def schedule_chunk(self) -> None:
        """Chunk n goes out n times 10 ms after the first, however late the one before it was."""
        self.loop.call_at(self.began + self.sent * SECONDS_BETWEEN, self.send_chunk)

    def send_chunk(self) -> None:
        if self.transport.is_closing():
            return
        said = WORDS[self.sent % len(WORDS)] if self.words else f"@{time.monotonic_ns() // 1000}"
        self.sent += 1
        finish = "null" if self.sent < CHUNKS else '"length"'
        self.send(
            f'"choices":[{{"index":0,"delta":{{"content":" {said}"}},"logprobs":null,"finish_reason":{finish},'
            '"token_ids":null}]}'
        )
        if self.sent < CHUNKS:
            self.schedule_chunk()
        else:
            self.finish()

    def finish(self) -> None:
        if self.with_usage:
            usage = f'{{"prompt_tokens":37,"total_tokens":{37 + CHUNKS},"completion_tokens":{CHUNKS}}}'
            self.send(f'"choices":[],"usage":{usage},"system_fingerprint":"vllm-0.32.0-ac94ed15"}}')
        self.transport.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def send(self, rest: str) -> None:
        event = f"{self.start}{rest}\n\n".encode()
        self.transport.write(b"%x\r\n%b\r\n" % (len(event), event))


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
