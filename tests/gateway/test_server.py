"""Starting and stopping, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlmodel import Session, select

from gateway.usage.record import UsageRow
from sluice.database import connect, migrate
from sluice.identity import create_key
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream
from tests.ports import free_ports
from tests.servers.redis import URL

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]}


class GatewayProcess:
    """`python -m gateway` over a home folder that outlives it."""

    def __init__(self, home: Path, upstream_url: str, **variables: str) -> None:
        self.port = free_ports(3)
        self.origin = f"http://127.0.0.1:{self.port}"
        (home / "no-configs").mkdir(exist_ok=True)
        url = f"sqlite:///{home / 'sluice.db'}"
        migrate(url)
        self.engine = connect(url)
        self.key = create_key(self.engine, owner="tester")[1]
        self._environment = os.environ | {
            "SLUICE_CONFIG": str(home / "no-configs"),
            "SLUICE_PLATFORM__HOME": str(home),
            "SLUICE_GATEWAY__PORT": str(self.port),
            "SLUICE_ROUTES__M__URL": upstream_url,
            **variables,
        }
        self.log = home / "gateway.log"

    @contextmanager
    def started(self, worker: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """A running gateway; `worker` numbers one of several."""
        command = [sys.executable, "-m", "gateway", "--worker", str(worker or 0)]
        port = self.port if worker is None else self.port + 1 + worker
        with self.log.open("ab") as log, subprocess.Popen(command, env=self._environment, stderr=log) as process:
            try:
                self._wait_ready(process, port)
                yield process
            finally:
                process.kill()

    def _wait_ready(self, process: subprocess.Popen[bytes], port: int) -> None:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False, timeout=60).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)

    def wait_refused(self) -> None:
        """Until it takes no connection any more."""
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline
            try:
                httpx.get(f"{self.origin}/health/live", trust_env=False, timeout=60)
            except httpx.ConnectError:
                return
            except httpx.TransportError:  # it stopped between taking the connection and answering
                pass
            time.sleep(0.02)

    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.origin, headers=self.headers(), trust_env=False, timeout=120)

    def recorded(self) -> dict[str, UsageRow]:
        with Session(self.engine) as session:
            return {row.request_id: row for row in session.exec(select(UsageRow))}


def test_stopping_lets_streams_end_refuses_new_requests_and_records_all(
    tmp_path: Path, scripted_upstream: ScriptedUpstream
) -> None:
    gateway = GatewayProcess(tmp_path, scripted_upstream.url, SLUICE_GATEWAY__DRAIN_SECONDS="600")
    go_on = threading.Event()
    scripted_upstream.next(Behaviour(content=["x"] * 10, go_on=go_on))
    with gateway.started() as process, gateway.client() as client:
        with client.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as response:
            lines = response.iter_lines()
            next(lines)
            process.send_signal(signal.SIGTERM)
            gateway.wait_refused()
            go_on.set()
            assert [line for line in lines if line][-1] == "data: [DONE]"
        assert process.wait(60) in (0, -signal.SIGTERM)
    record = gateway.recorded()[response.headers["x-request-id"]]
    assert (record.status, record.completion_tokens) == (200, 10)
    assert list((tmp_path / "journal").iterdir()) == []


def test_what_is_open_after_the_drain_ends_with_an_error_event(
    tmp_path: Path, scripted_upstream: ScriptedUpstream
) -> None:
    gateway = GatewayProcess(tmp_path, scripted_upstream.url, SLUICE_GATEWAY__DRAIN_SECONDS="0.5")
    scripted_upstream.next(Behaviour(content=["x"] * 6000, chunk_delay=0.1), Behaviour(stop_at=0, stop="stall"))
    plain: list[httpx.Response] = []
    with gateway.started() as process, gateway.client() as client, gateway.client() as waiting:
        with client.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as response:
            lines = response.iter_lines()
            next(lines)
            thread = threading.Thread(target=lambda: plain.append(waiting.post("/v1/chat/completions", json=CHAT)))
            thread.start()
            scripted_upstream.wait_until(lambda: len(scripted_upstream.requests) == 2)
            process.send_signal(signal.SIGTERM)
            last = [line for line in lines if line][-1]
        thread.join()
        process.wait(60)
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "stopping"
    assert (plain[0].status_code, plain[0].json()["error"]["code"]) == (503, "stopping")
    records = gateway.recorded()
    assert records[response.headers["x-request-id"]].error == "stopping"
    assert records[plain[0].headers["x-request-id"]].status == 503
    scripted_upstream.wait_until(lambda: all(request.disconnected for request in scripted_upstream.requests))


def test_killed_under_load_every_answer_has_its_record_after_a_restart(
    tmp_path: Path, scripted_upstream: ScriptedUpstream
) -> None:
    gateway = GatewayProcess(tmp_path, scripted_upstream.url, SLUICE_GATEWAY__USAGE__FLUSH_SECONDS="600")
    answered: list[str] = []

    def load(stream: bool) -> None:
        with gateway.client() as client:
            while True:
                try:
                    response = client.post("/v1/chat/completions", json=CHAT | {"stream": stream})
                except httpx.TransportError:
                    return
                if not stream or response.text.endswith("data: [DONE]\n\n"):
                    answered.append(response.headers["x-request-id"])

    with gateway.started() as process:
        threads = [threading.Thread(target=load, args=(number % 2 == 0,)) for number in range(6)]
        for thread in threads:
            thread.start()
        scripted_upstream.wait_until(lambda: len(answered) > 100)
        process.kill()
        for thread in threads:
            thread.join()
    assert not gateway.recorded(), "the kill came after something was written"
    with gateway.started():
        records = gateway.recorded()
    assert set(answered) <= records.keys()


def test_two_workers_share_a_port_and_each_answers_alone(
    tmp_path: Path, scripted_upstream: ScriptedUpstream, redis_prefix: str
) -> None:
    gateway = GatewayProcess(
        tmp_path,
        scripted_upstream.url,
        SLUICE_GATEWAY__WORKERS="2",
        SLUICE_REDIS__URL=URL,
        SLUICE_REDIS__PREFIX=redis_prefix,
    )
    with gateway.started(0), gateway.started(1):
        for _ in range(20):
            with gateway.client() as client:
                assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
        served = [
            httpx.get(f"http://127.0.0.1:{gateway.port + number}/metrics", trust_env=False, timeout=60).text
            for number in (1, 2)
        ]
    assert all("sluice_requests_total{" in metrics for metrics in served), "one worker got all connections"


def test_a_taken_port_is_one_clear_line(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> None:
    gateway = GatewayProcess(tmp_path, scripted_upstream.url)
    with gateway.started():
        second = subprocess.run(
            [sys.executable, "-m", "gateway"], env=gateway._environment, capture_output=True, text=True, timeout=120
        )
    assert second.returncode == 1
    assert second.stderr.startswith(f"Error: The gateway cannot listen on 127.0.0.1:{gateway.port}")
    assert len(second.stderr.splitlines()) == 1


def test_the_gateway_imports_nothing_that_computes(tmp_path: Path) -> None:
    program = "import sys, gateway.app, gateway.server; print({'torch', 'ray', 'transformers', 'langgraph'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert result.stdout.strip() == "set()"
