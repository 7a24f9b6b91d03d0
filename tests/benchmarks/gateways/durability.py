"""What only Sluice is asked: does its memory stay flat, and does a killed gateway lose a usage record?"""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateways.client import Load
from gateways.launching import Server, TargetError, started
from gateways.mocks import constant_mock, streaming_mock
from gateways.streams import run_client
from gateways.targets import sluice
from gateways.wrk import PlainResult
from process_tree import resident_mib


@dataclass(frozen=True)
class Memory:
    """Memory of the gateway after the first requests and after all of them."""

    early_requests: int
    early_mib: float
    late_requests: int
    late_mib: float

    @property
    def growth_percent(self) -> float:
        return (self.late_mib / self.early_mib - 1) * 100


@dataclass(frozen=True)
class Kills:
    """What remained of the answered requests after so many kills."""

    kills: int
    answered: int
    missing: int


def memory_growth(
    nginx: str, load: Callable[[Server, float], PlainResult], folder: Path, *, early: int, late: int
) -> Memory:
    """Memory once `early` and once `late` plain requests were answered; raises TargetError."""
    with started(constant_mock(nginx, folder)) as mock, started(sluice(mock.port, folder)) as server:
        served, per_second = 0, float(early)  # not known yet: begin with a second
        readings: list[tuple[int, float]] = []
        for goal in (early, late):
            while served < goal:
                result = load(server, min(10.0, (goal - served) / per_second))
                if result.errors or not result.requests:
                    raise TargetError(f"{result.errors} errors after {served:,} requests")
                served, per_second = served + result.requests, result.requests_per_second
            readings.append((served, resident_mib(server.pid)))
    return Memory(*readings[0], *readings[1])


def kill_under_load(folder: Path, kills: int) -> Kills:
    """Kill Sluice (SIGKILL) under plain and streamed load, start it again on the same home, and look for the record
    of every answer that had arrived whole; raises TargetError.
    """
    answered: set[str] = set()
    with started(streaming_mock(folder)) as mock:
        launch = sluice(mock.port, folder)
        for _ in range(kills):
            with started(launch) as server:
                load = Load(server.port, server.headers, seconds=4, plain=8, streams=8)
                answered.update(run_client(load, meanwhile=lambda pid=server.pid: _kill_soon(pid)).request_ids)
        if not answered:
            raise TargetError("no answer with an x-request-id arrived before the kill")
        with started(launch):
            return Kills(kills, len(answered), _missing(folder / "home/sluice.db", answered, seconds=15))


def _kill_soon(pid: int) -> None:
    time.sleep(2 + random.random())
    os.killpg(pid, signal.SIGKILL)


def _missing(database: Path, request_ids: set[str], seconds: float) -> int:
    """How many of the ids have no usage record, once the gateway had some seconds to bring in its journal."""
    deadline = time.monotonic() + seconds
    while True:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            recorded = {request_id for (request_id,) in connection.execute("SELECT request_id FROM usage_record")}
        missing = len(request_ids - recorded)
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(0.5)
