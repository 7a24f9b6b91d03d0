"""Hours of work in minutes: does memory stay flat, does an error come, is the ledger exact?"""

import http.client
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import report
from gateways.launching import CHAT, QUESTION, Launch, Server, TargetError, free_port, started
from gateways.mocks import BENCHMARKS, constant_mock
from gateways.wrk import PlainResult
from metering.features import EVERYTHING, MUCH, with_features
from metering.trace import FILE, Play, Played
from process_tree import resident_mib

REPOSITORY = Path(__file__).parents[3]
WARM_UP_REQUESTS = 20_000
WARM_UP_SECONDS = 300
"""Of the trace, too."""
HOUR = 3_600
SPEED = 20


@dataclass(frozen=True)
class Soak:
    """What was seen; memory in MiB, tokens as the key's budget counts them."""

    requests: int
    answers: int
    errors: int
    problem: str
    warm_mib: float
    late_mib: float
    recorded: int
    ledger: int

    @property
    def growth_percent(self) -> float:
        return (self.late_mib / self.warm_mib - 1) * 100


def soak(nginx: str, load: Callable[[Server, float], PlainResult], folder: Path, requests: int) -> Soak:
    """Plain requests without pause, then an hour of the trace, all counted against three budgets; raises TargetError."""
    if not FILE.exists():
        raise TargetError(f"the trace is not here: {FILE.name}")
    with ExitStack() as stack:
        mock = stack.enter_context(started(constant_mock(nginx, folder)))
        trace_port = free_port()
        command = [sys.executable, "-m", "metering.trace_mock", str(trace_port)]
        log = stack.enter_context((folder / "trace-mock.log").open("wb"))
        environment = os.environ | {"PYTHONPATH": str(BENCHMARKS)}
        process = stack.enter_context(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        stack.callback(process.kill)
        launch = with_trace(with_features(EVERYTHING)(mock.port, folder), trace_port)
        server = stack.enter_context(started(launch))
        answers, errors, problem = run_requests(load, server, WARM_UP_REQUESTS)
        played = [play(server, 0, WARM_UP_SECONDS)]
        warm = resident_mib(server.pid)
        more, failed, further = run_requests(load, server, requests - answers)
        played.append(play(server, WARM_UP_SECONDS, HOUR))
        late = resident_mib(server.pid)
        time.sleep(2)  # clients that the load left have been noticed, and all records are in the database
        left = ask_what_is_left(server)
    with closing(sqlite3.connect(folder / "home" / "sluice.db")) as database:
        recorded = database.execute("SELECT sum(charged_tokens) FROM usage_record").fetchone()[0]
    return Soak(
        requests=answers + more,
        answers=sum(part.answers for part in played),
        errors=errors + failed + sum(part.broken for part in played),
        problem=problem or further or next((part.problem for part in played if part.problem), ""),
        warm_mib=warm,
        late_mib=late,
        recorded=recorded,
        ledger=MUCH - left,
    )


def with_trace(launch: Launch, port: int) -> Launch:
    """The same gateway with a second model, the trace's."""
    return replace(
        launch, environment=launch.environment | {"SLUICE_ROUTES__TRACE__URL": f"http://127.0.0.1:{port}/v1"}
    )


def run_requests(load: Callable[[Server, float], PlainResult], server: Server, goal: int) -> tuple[int, int, str]:
    """At least so many plain requests; how many, how many errors, and one of them."""
    served, errors, problem, per_second = 0, 0, "", 10_000.0
    while served < goal:
        result = load(server, min(10.0, (goal - served) / per_second))
        if not result.requests:
            raise TargetError(f"no answers after {served:,} requests")
        served, per_second = served + result.requests, result.requests_per_second
        errors, problem = errors + result.errors, problem or result.problem
    return served, errors, problem


def play(server: Server, begin: float, end: float) -> Played:
    """A stretch of the trace, by a client in a process of its own."""
    asked = Play(server.port, server.headers, begin, end, SPEED)
    path = os.pathsep.join([str(BENCHMARKS), str(REPOSITORY)])
    output = subprocess.run(
        [sys.executable, "-m", "metering.trace", json.dumps(asdict(asked))],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=1_800,
    ).stdout
    return Played(**json.loads(output))


def ask_what_is_left(server: Server) -> int:
    """Tokens that the tightest budget has left once nothing is under way."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        headers = {"content-type": "application/json", **server.headers}
        connection.request("POST", CHAT, json.dumps(QUESTION), headers)
        response = connection.getresponse()
        response.read()
    return int(response.headers["x-sluice-budget-remaining"])


def rows(found: Soak | None) -> list[report.Row]:
    """What the run must reach."""
    what = f"{found.requests:,} requests and {found.answers:,} of the trace" if found else "requests and the trace"
    return [
        report.row(f"Memory growth over {what}", found and found.growth_percent, "%", "<", 5),
        report.row("Errors", found and found.errors, "", "=", 0),
        report.row("Ledger less records", found and found.ledger - found.recorded, "tokens", "=", 0),
    ]
