"""A light client in its own process that keeps plain requests and streams going, and checks every answer.

`python -m gateways.client '<Load as JSON>'` prints a `Tally` as JSON.
"""

import asyncio
import json
import re
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import httptools
import uvloop
from gateways.launching import CHAT, QUESTION
from gateways.stream_mock import CHUNKS, TEXT, wants_words

MARK = re.compile(rb'"content": ?" @(\d+)"')
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True)
class Load:
    """What to send: so many plain requests and streams at a time, to a port, for some seconds; open ones may finish."""

    port: int
    headers: dict[str, str]
    seconds: float
    plain: int = 0
    streams: int = 0
    question: dict[str, Any] = field(default_factory=lambda: QUESTION)


@dataclass
class Tally:
    """What came back."""

    answers: int = 0
    """Complete ones: status 200; of a stream all its chunks, the usage and the end mark."""
    broken: int = 0
    problem: str = ""
    """The last broken answer's."""
    chunks: int = 0
    seconds: float = 0
    p50_ms: float = 0
    p99_ms: float = 0
    """How long after it was sent by the mock a chunk arrived."""
    request_ids: list[str] = field(default_factory=list)
    """`x-request-id` of each complete answer."""


class Connection(asyncio.Protocol):
    """Asks over one connection, one request at a time."""

    def __init__(self) -> None:
        self.closed = False
        self.answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes) -> None:
        """Send a request and wait for all of its answer; a lost connection raises ConnectionError."""
        self.parser = httptools.HttpResponseParser(self)
        self.request_id = ""
        self.rest = b""
        self.events: list[bytes] = []
        self.delays_us: list[int] = []
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        await self.answered

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-request-id":
            self.request_id = value.decode()

    def on_body(self, body: bytes) -> None:
        now = time.monotonic_ns() // 1000
        *events, self.rest = (self.rest + body).split(b"\n\n")
        for event in events:
            self.events.append(event)
            if mark := MARK.search(event):
                self.delays_us.append(now - int(mark[1]))

    def on_message_complete(self) -> None:
        if not self.parser.should_keep_alive():
            self.transport.close()
            self.closed = True
        if self.answered and not self.answered.done():
            self.answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self.answered and not self.answered.done():
            self.answered.set_exception(ConnectionResetError("the connection was lost within an answer"))

    def problem(self, streamed: bool, words: bool) -> str:
        """What is wrong with the answer; empty when it is right and complete."""
        if (status := self.parser.get_status_code()) != 200:
            return f"status {status}: {self.rest[:200].decode(errors='replace')}"
        if not streamed:
            return "" if b"Paris" in self.rest else f"unexpected answer {self.rest[:200]!r}"
        if words:
            return "" if self.text() == TEXT else f"streamed {self.text()!r}"
        if len(self.delays_us) != CHUNKS:
            return f"{len(self.delays_us)} of {CHUNKS} chunks"
        if not any(b'"completion_tokens"' in event for event in self.events[-3:]):
            return "a stream without usage"
        return "" if self.events[-1] == b"data: [DONE]" else "a stream without its end mark"

    def text(self) -> str:
        """What was streamed, in however many events it came."""
        events = [json.loads(event.removeprefix(b"data: ")) for event in self.events if event != b"data: [DONE]"]
        choices = [choice for event in events for choice in event["choices"]]
        return "".join(choice["delta"].get("content") or "" for choice in choices)


async def run(load: Load) -> Tally:
    tally = Tally()
    delays: list[int] = []
    began = time.monotonic()
    kinds = [False] * load.plain + [True] * load.streams
    async with asyncio.TaskGroup() as group:
        for start, streamed in zip(_spread(), kinds, strict=False):
            group.create_task(_keep_asking(load, streamed, began + start, began + load.seconds, tally, delays))
    tally.seconds = time.monotonic() - began
    tally.chunks = tally.answers * CHUNKS if wants_words(load.question) else len(delays)
    if len(delays) > 1:
        cuts = statistics.quantiles(delays, n=100)
        tally.p50_ms, tally.p99_ms = cuts[49] / 1000, cuts[98] / 1000
    return tally


def _spread() -> Iterator[float]:
    """Starting times within a second, as far from each other as can be, so that chunks do not come in step."""
    index = 0
    while True:
        yield index * 0.618034 % 1
        index += 1


async def _keep_asking(load: Load, streamed: bool, start: float, end: float, tally: Tally, delays: list[int]) -> None:
    await asyncio.sleep(start - time.monotonic())
    request = _request(load, STREAM if streamed else {})
    connection: Connection | None = None
    while time.monotonic() < end:
        try:
            if connection is None or connection.closed:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(Connection, "127.0.0.1", load.port)
            await connection.ask(request)
            problem = connection.problem(streamed, wants_words(load.question))
        except OSError as error:
            problem = str(error)
            await asyncio.sleep(0.05)
        if problem or connection is None:
            tally.broken += 1
            tally.problem = problem
            continue
        tally.answers += 1
        delays += connection.delays_us
        if connection.request_id:
            tally.request_ids.append(connection.request_id)
    if connection is not None:
        connection.transport.close()


def _request(load: Load, more: dict[str, Any]) -> bytes:
    body = json.dumps(load.question | more).encode()
    headers = {"host": f"127.0.0.1:{load.port}", "content-type": "application/json", "content-length": str(len(body))}
    lines = [f"POST {CHAT} HTTP/1.1", *(f"{name}: {value}" for name, value in (headers | load.headers).items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(run(Load(**json.loads(sys.argv[1])))))))
