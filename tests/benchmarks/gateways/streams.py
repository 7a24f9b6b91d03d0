"""The streamed load: 32 streams at a time, each of 100 chunks, one every 10 ms."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from gateways.client import Load, Tally
from gateways.launching import Server
from process_tree import cpu_seconds

CONNECTIONS = 32


@dataclass(frozen=True)
class StreamResult:
    """One round of streams."""

    streams: int
    chunks: int
    chunks_per_second: float
    p50_ms: float
    p99_ms: float
    """From when the mock sent a chunk to when the client had it."""
    cpu_us: float
    """User and system time of the server for each chunk, in microseconds."""
    errors: int
    """Streams that were not complete."""
    problem: str


def stream_load(server: Server, seconds: float) -> StreamResult:
    """Keep 32 streams going for some seconds, and let the last ones finish."""
    before = cpu_seconds(server.pid)
    tally = run_client(Load(server.port, server.headers, seconds, streams=CONNECTIONS, question=server.question))
    spent = cpu_seconds(server.pid) - before
    return StreamResult(
        streams=tally.answers,
        chunks=tally.chunks,
        chunks_per_second=tally.chunks / tally.seconds,
        p50_ms=tally.p50_ms,
        p99_ms=tally.p99_ms,
        cpu_us=spent * 1e6 / max(1, tally.chunks),
        errors=tally.broken,
        problem=tally.problem,
    )


def run_client(load: Load, meanwhile: Callable[[], None] = lambda: None) -> Tally:
    """Run the client in a process of its own, doing something else meanwhile."""
    command = [sys.executable, "-m", "gateways.client", json.dumps(asdict(load))]
    # Into a file, not a pipe: an unbuffered Python under uvloop loses what a pipe does not take at once.
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=output) as client:
            meanwhile()
            client.wait(load.seconds + 120)
        output.seek(0)
        return Tally(**json.load(output))
