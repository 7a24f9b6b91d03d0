"""The process `predictions`: Ray Serve from start to end, and what a kill leaves."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from sluice.identity import create_key
from tests.classic_ml.serving.test_app import CUSTOMER, put_into_production
from tests.classic_ml.trained import GOOD, Trained
from tests.ports import free_port

pytestmark = pytest.mark.ray
START_SECONDS = 300


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def process(trained: Trained, tmp_path: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Started as the supervisor starts it: a session of its own, and ended as a group."""
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "all.yaml").write_text(
        f"platform: {{home: {trained.home.root}}}\n"
        f"services: {{predictions: {{module: classic_ml.serving, port: {port}, paths: [/v1/predict]}}}}\n"
    )
    with (tmp_path / "log").open("wb") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "classic_ml.serving"],
            env={**os.environ, "SLUICE_CONFIG": str(configs), "PYTHONPATH": ".:platform"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until_healthy(started, port, tmp_path / "log")
        yield started
    finally:
        end_group(started)


def wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=60).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    pytest.fail(log.read_text())


def end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_it_answers_and_ends_with_all_of_ray(trained: Trained, process: subprocess.Popen[bytes], port: int) -> None:
    put_into_production(trained, GOOD)
    _, key = create_key(trained.engine, owner="ada")
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {key}"}, timeout=120
    ) as client:
        answer = client.post("/v1/predict/churn", json={"entity": CUSTOMER})
        assert (answer.status_code, answer.json()["version"]) == (200, GOOD)
        unknown = client.post("/v1/predict/churn", json={"entity": "0000-NOONE"})
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) > 5
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    _, alive = psutil.wait_procs(below, timeout=120)
    assert not alive


def test_a_kill_leaves_nothing_once_the_supervisor_has_ended_its_group(process: subprocess.Popen[bytes]) -> None:
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    end_group(process)
    _, alive = psutil.wait_procs(below, timeout=120)
    assert not alive
