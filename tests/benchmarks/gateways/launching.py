"""Starting a server, waiting until it really answers, and ending it with everything it started."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

CHAT = "/v1/chat/completions"
QUESTION = {
    "model": "mock",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "What is the capital of France?"},
    ],
    "temperature": 0,
    "max_tokens": 100,
}


class TargetError(Exception):
    """A server cannot be installed or started; the message says why, on one line."""


@dataclass(frozen=True)
class Launch:
    """How to start a server that listens on `port` of loopback, and what its clients must send along and ask."""

    port: int
    command: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    question: dict[str, Any] = field(default_factory=lambda: QUESTION)


@dataclass(frozen=True)
class Server:
    """A running server."""

    pid: int
    port: int
    headers: dict[str, str]
    question: dict[str, Any]


@contextmanager
def started(launch: Launch, seconds: float = 120) -> Iterator[Server]:
    """Run a server in a process group of its own until the block ends; yields once it answers a chat completion.

    Raises:
        TargetError: it ended, or gave no right answer in `seconds`.
    """
    log = launch.folder / f"{launch.port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            launch.command,
            env=os.environ | launch.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_for_answer(launch, process, log, seconds)
        yield Server(process.pid, launch.port, launch.headers, launch.question)
    finally:
        _stop(process)


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_for_answer(launch: Launch, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    problem = ""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TargetError(f"ended with {process.returncode}: {_last_line(log)}")
        try:
            _ask(launch)
            return
        except (OSError, HTTPException, ValueError) as error:
            problem = str(error)
        time.sleep(0.2)
    raise TargetError(f"gave no right answer within {seconds:g} seconds: {problem}")


def _ask(launch: Launch) -> None:
    """Send the question once; anything but the mock's answer raises."""
    connection = HTTPConnection("127.0.0.1", launch.port, timeout=10)
    with closing(connection):
        headers = {"content-type": "application/json"} | launch.headers
        connection.request("POST", CHAT, json.dumps(launch.question), headers)
        response = connection.getresponse()
        answer = response.read().decode(errors="replace")
    if response.status != 200 or "Paris" not in answer:
        raise ValueError(f"status {response.status}: {answer[:200]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for signal_number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(seconds)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it printed nothing")
