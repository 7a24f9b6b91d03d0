"""Starting and stopping the process; where the model does not matter, over a slow double for it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.servers.minilm import wait_until_ready

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
SLOW_SERVER = Path(__file__).with_name("slow_server.py")
Start = Callable[..., tuple["subprocess.Popen[bytes]", str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers: list[subprocess.Popen[bytes]] = []

    def start_slow_server(*options: str) -> tuple["subprocess.Popen[bytes]", str]:
        log = tmp_path / "log"
        command = [sys.executable, SLOW_SERVER, "--name", "slow", "--folder", tmp_path, "--port", "0", *options]
        with log.open("wb") as output:
            servers.append(subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stdout=output, stderr=output))
        return servers[-1], wait_until_ready(servers[-1], log)

    yield start_slow_server
    for server in servers:
        server.kill()
        server.wait()


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sluice.models.embedding_server", *options]
    return subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, timeout=120)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refuses(url: str) -> bool:
    """Whether it takes no connection any more."""
    try:
        httpx.get(f"{url}/health", timeout=60)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:  # it stopped between taking the connection and answering
        return False
    return False


def embed(url: str, texts: int) -> httpx.Response:
    return httpx.post(f"{url}/v1/embeddings", json={"model": "slow", "input": ["a"] * texts}, timeout=300)


def test_help_needs_no_model() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--max-batch", "--device", "--threads", "--drain-seconds"))


def test_a_port_in_use_is_told_before_the_model_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("--name", "minilm", "--folder", str(tmp_path), "--port", port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: Cannot listen on 127.0.0.1:{port}")


@pytest.mark.parametrize("option", ["--max-batch", "--threads", "--max-queued"])
def test_a_count_below_one_is_refused(option: str) -> None:
    done = run("--name", "minilm", "--folder", "x", "--port", "0", option, "0")
    assert done.returncode == 2
    assert "expected a number of at least 1, found '0'" in done.stderr


def test_sigterm_finishes_what_was_taken_and_refuses_new(start: Start, tmp_path: Path) -> None:
    server, url = start("--max-batch", "1", "--drain-seconds", "600")
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(embed, url, 3)
        wait_until((tmp_path / "begun").exists)
        server.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(url))
        (tmp_path / "go-on").touch()
        assert taken.result().status_code == 200
    assert server.wait(timeout=120) == 0


def test_after_the_drain_open_requests_end_with_an_error(start: Start, tmp_path: Path) -> None:
    server, url = start("--max-batch", "1", "--drain-seconds", "0.5")
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(embed, url, 100)
        wait_until((tmp_path / "begun").exists)
        server.send_signal(signal.SIGTERM)
        answer = taken.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")
    (tmp_path / "go-on").touch()
    assert server.wait(timeout=120) == 0


def test_a_full_queue_answers_503(start: Start, tmp_path: Path) -> None:
    (tmp_path / "go-on").touch()
    _, url = start("--max-batch", "1", "--max-queued", "2")
    answer = embed(url, 3)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
    assert embed(url, 1).status_code == 200
