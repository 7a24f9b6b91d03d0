"""The Redis server that runs on loopback, by a prefix of a test's own; and servers that a test may kill."""

import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest
import redis

from tests.ports import free_port

URL = "redis://127.0.0.1:6379/0"


@contextmanager
def own_prefix() -> Iterator[str]:
    """A prefix whose keys are deleted at the end; skips where no server answers."""
    client = redis.Redis.from_url(URL)
    try:
        client.ping()
    except redis.ConnectionError as error:
        pytest.skip(f"Redis does not answer on loopback: {error}")
    prefix = f"sluice-test-{secrets.token_hex(6)}"
    try:
        yield prefix
    finally:
        for key in client.scan_iter(f"{{{prefix}}}*", count=1_000):
            client.delete(key)
        client.close()


@pytest.fixture
def redis_prefix() -> Iterator[str]:
    with own_prefix() as prefix:
        yield prefix


class RedisServer:
    """A server of a test's own, without persistence; skips where the program is not installed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.program = shutil.which("redis-server")
        if self.program is None:
            pytest.skip("redis-server is not installed")
        self._folder = folder
        self._arguments = arguments
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        command = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self._arguments]
        self.process = subprocess.Popen(
            [str(part) for part in command], cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
            assert self.process.poll() is None
            time.sleep(0.01)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)
