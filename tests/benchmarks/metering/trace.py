"""A production service's traffic, played again faster: when requests came, how long prompts and answers were.

`python -m metering.trace '<Play as JSON>'` prints a `Played` as JSON. The requests say in `user` what their answer is to
count, `trace:<prompt tokens>:<completion tokens>`; the mock (`metering.trace_mock`) answers so. Every second one is streamed.
"""

import asyncio
import csv
import gzip
import json
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import uvloop
from gateways.client import Connection
from gateways.launching import CHAT

from tests.public_data import PUBLIC_DATA

FILE = PUBLIC_DATA / "llm_traffic" / "azure_llm_conversation_2023.csv.gz"
LONGEST_PROMPT = 4_000
"""Tokens; a longer prompt is sent shorter, since its bytes would only measure the client."""


@dataclass(frozen=True)
class Play:
    """What to play: from one second of the trace to another, so many times as fast."""

    port: int
    headers: dict[str, str]
    begin: float
    end: float
    speed: float
    file: str = str(FILE)


@dataclass
class Played:
    """What came of it; tokens are what the answers should have been charged."""

    answers: int = 0
    broken: int = 0
    problem: str = ""
    tokens: int = 0


def read_trace(file: Path) -> Iterator[tuple[float, int, int]]:
    """Seconds since the first request, tokens of the prompt and of the answer."""
    with gzip.open(file, "rt") as lines:
        first: datetime | None = None
        for row in csv.DictReader(lines):
            at = datetime.fromisoformat(row["TIMESTAMP"][:26])
            first = first or at
            yield (at - first).total_seconds(), int(row["ContextTokens"]), int(row["GeneratedTokens"])


class Player:
    """Sends each request at its time, whether or not those before it have been answered."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._idle: deque[Connection] = deque()
        self.played = Played()
        lines = [f"POST {CHAT} HTTP/1.1", "host: bench", *(f"{name}: {value}" for name, value in play.headers.items())]
        self._head = "\r\n".join(lines)

    async def run(self) -> Played:
        loop = asyncio.get_running_loop()
        started = loop.time()
        under_way: set[asyncio.Task[None]] = set()
        chosen = (row for row in read_trace(Path(self._play.file)) if self._play.begin <= row[0] < self._play.end)
        for number, (at, prompt, completion) in enumerate(chosen):
            wait = started + (at - self._play.begin) / self._play.speed - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(self._ask(min(prompt, LONGEST_PROMPT), completion, streamed=number % 2 == 1))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        return self.played

    async def _ask(self, prompt: int, completion: int, *, streamed: bool) -> None:
        body = json.dumps(
            {
                "model": "trace",
                "messages": [{"role": "user", "content": "word " * prompt}],
                "max_tokens": completion,
                "user": f"trace:{prompt}:{completion}",
            }
            | ({"stream": True} if streamed else {})
        )
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
            await connection.ask(f"{self._head}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        except OSError as error:
            self._broke(str(error))
            return
        end = connection.events[-1:] == [b"data: [DONE]"] if streamed else connection.rest.endswith(b"}")
        if connection.parser.get_status_code() != 200 or not end:
            self._broke(f"{connection.parser.get_status_code()}: {connection.rest[:200].decode(errors='replace')}")
        else:
            self.played.answers += 1
            self.played.tokens += prompt + completion
        if not connection.closed:
            self._idle.append(connection)

    async def _connect(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self._play.port)
        return connection

    def _broke(self, problem: str) -> None:
        self.played.broken += 1
        self.played.problem = problem


def main() -> None:
    play = Play(**json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps(asdict(uvloop.run(Player(play).run()))))


if __name__ == "__main__":
    main()
