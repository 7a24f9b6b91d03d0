import json
import os
import signal
import socket
import stat
import time

import pytest

from sluice.processes.state import Phase, read_state, supervisor_pid
from tests.sluice.cli.conftest import Deployment

pytest.importorskip("sluice.database")


def pids(deployment: Deployment) -> dict[str, int | None]:
    return {name: process.pid for name, process in read_state(deployment.home).processes.items()}


def test_up_status_logs_and_down(deployment: Deployment) -> None:
    first = deployment.run("up")
    assert first.returncode == 0, first.stderr
    assert "small: device cpu" in first.stderr
    assert "dtype float32 (as configured)" in first.stderr
    assert f"curl http://127.0.0.1:{deployment.gateway_port}/v1/chat/completions" in first.stdout
    environment = deployment.home.dev_env.read_text().splitlines()
    assert environment[0] == f"export OPENAI_BASE_URL=http://127.0.0.1:{deployment.gateway_port}/v1"
    key = environment[1].removeprefix("export OPENAI_API_KEY=")
    assert key.startswith("sk-sluice-")
    assert key in first.stdout
    assert stat.S_IMODE(deployment.home.dev_env.stat().st_mode) == 0o600

    before, supervisor = pids(deployment), supervisor_pid(deployment.home)
    second = deployment.run("up")
    assert second.returncode == 0, second.stderr
    assert key in second.stdout
    assert (pids(deployment), supervisor_pid(deployment.home)) == (before, supervisor)

    status = deployment.run("status", "--json")
    assert status.returncode == 0
    rows = {row["name"]: row for row in json.loads(status.stdout)["processes"]}
    assert rows["gateway"]["state"] == rows["small"]["state"] == "ready"
    assert rows["small"]["memory_bytes"] > 1_000_000
    assert rows["small"]["url"] == f"http://127.0.0.1:{deployment.model_port}"
    assert "ready" in deployment.run("status").stdout

    (deployment.home.logs / "small.log").write_text("from the engine\n")
    assert deployment.run("logs", "small").stdout == "from the engine\n"
    assert "small      | from the engine" in deployment.run("logs").stdout
    unknown = deployment.run("logs", "tiny")
    assert unknown.returncode == 1
    assert "no process 'tiny'" in unknown.stderr

    down = deployment.run("down")
    assert (down.returncode, down.stdout) == (0, "gateway: stopped\nsmall: stopped\n")
    assert deployment.run("status").returncode == 3
    again = deployment.run("down")
    assert (again.returncode, again.stdout) == (0, "Nothing is running.\n")


def test_a_failing_engine_is_shown_at_once_and_mended_by_another_up(deployment: Deployment) -> None:
    (deployment.folder / "broken").touch()
    failed = deployment.run("up")
    assert failed.returncode == 1
    assert "engine: out of memory" in failed.stderr
    assert "small ended with exit code 1. See: sluice logs small; when mended: sluice up" in failed.stderr
    assert deployment.run("status").returncode == 3
    deadline = time.monotonic() + 120
    while read_state(deployment.home).processes["small"].phase not in (Phase.BACKOFF, Phase.FAILED):
        assert time.monotonic() < deadline  # an attempt that still finds it broken is on its way
        time.sleep(0.02)
    (deployment.folder / "broken").unlink()
    before = pids(deployment)
    mended = deployment.run("up")
    assert mended.returncode == 0, mended.stderr
    assert pids(deployment)["gateway"] == before["gateway"]


def test_a_taken_port_is_named_with_its_setting(deployment: Deployment) -> None:
    with socket.create_server(("127.0.0.1", deployment.model_port)):
        refused = deployment.run("up")
    assert refused.returncode == 1
    assert f"Port {deployment.model_port} (models.small.port) is held by " in refused.stderr
    assert f"(process {os.getpid()})" in refused.stderr
    assert supervisor_pid(deployment.home) is None


def test_an_interrupted_up_stops_what_it_started(deployment: Deployment) -> None:
    (deployment.folder / "slow").touch()
    process = deployment.start("up")
    deadline = time.monotonic() + 120
    while pids(deployment).get("small") is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert supervisor_pid(deployment.home) is None
    assert {state.phase for state in read_state(deployment.home).processes.values()} == {Phase.STOPPED}


def test_up_works_after_the_supervisor_was_killed(deployment: Deployment) -> None:
    assert deployment.run("up").returncode == 0
    before = pids(deployment)
    os.kill(supervisor_pid(deployment.home) or 0, signal.SIGKILL)
    again = deployment.run("up")
    assert again.returncode == 0, again.stderr
    assert not set(before.values()) & set(pids(deployment).values())


def test_changed_settings_are_told_and_change_nothing(deployment: Deployment) -> None:
    assert deployment.run("up").returncode == 0
    before = pids(deployment)
    settings = deployment.folder / "configs" / "all.yaml"
    settings.write_text(settings.read_text().replace("dtype: float32", "dtype: bfloat16"))
    second = deployment.run("up")
    assert "small runs with earlier settings." in second.stderr
    assert pids(deployment) == before
