"""Measuring many servers in short rounds that take turns, so that a noisy minute falls on all of them alike."""

import json
import sqlite3
import statistics
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from gateways.launching import Launch, Server, TargetError, started
from gateways.targets import Target
from process_tree import peak_resident_mib

WARM_UP_SECONDS = 2
MOCK = "mock"
FAILURES = (TargetError, OSError, psutil.Error, sqlite3.Error, subprocess.SubprocessError, json.JSONDecodeError)
"""What a target that cannot be installed, started or measured shows itself by: its row says so, and the run goes on."""


@dataclass
class Measured:
    """All rounds of one server (`PlainResult` or `StreamResult`), or why there are none."""

    title: str
    rounds: list[Any] = field(default_factory=list)
    peak_mib: float | None = None
    problem: str = ""

    @property
    def valid(self) -> bool:
        """Whether its figures mean anything: it was measured to the end, and every answer was right."""
        return bool(self.rounds) and not self.problem

    def values(self, figure: str) -> list[float]:
        return [getattr(result, figure) for result in self.rounds]


def measure(
    mock: Launch,
    targets: Sequence[Target],
    load: Callable[[Server, float], Any],
    *,
    folder: Path,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Measured]:
    """Start the mock and all targets before it, and put the load on each in turn; the key is the target's name."""
    table = {MOCK: Measured("mock, direct"), **{target.name: Measured(target.title) for target in targets}}
    servers: dict[str, Server] = {}
    with ExitStack() as stack:
        servers[MOCK] = stack.enter_context(started(mock))
        for target in targets:
            say(f"installing and starting {target.title}")
            own = folder / target.name
            own.mkdir()
            try:
                servers[target.name] = stack.enter_context(started(target.launch(mock.port, own)))
            except FAILURES as error:
                table[target.name].problem = str(error)
        for turn in range(rounds + 1):
            for name, server in list(servers.items()):
                row = table[name]
                say(f"{f'round {turn} of {rounds}' if turn else 'warming up'}: {row.title}")
                row.problem = _one_round(row, load, server, seconds if turn else WARM_UP_SECONDS, keep=turn > 0)
                if row.problem:
                    del servers[name]
    return table


def _one_round(
    row: Measured, load: Callable[[Server, float], Any], server: Server, seconds: float, *, keep: bool
) -> str:
    """Put the load on a server once; says what went wrong."""
    try:
        result = load(server, seconds)
        row.peak_mib = peak_resident_mib(server.pid)
    except FAILURES as error:
        return f"ended under load: {error}"
    if result.errors:
        return f"invalid, {result.errors} errors under load: {result.problem}".rstrip(": ")
    if keep:
        row.rounds.append(result)
    return ""


def median(row: Measured | None, figure: str) -> float | None:
    """The middle of a figure over all rounds; None for a row that is missing or invalid."""
    return statistics.median(row.values(figure)) if row and row.valid else None


def ratio(above: Measured | None, below: Measured | None, figure: str) -> float | None:
    """The middle of the rounds' ratios: two servers' neighbouring slots see the same machine."""
    if not (above and below and above.valid and below.valid):
        return None
    pairs = zip(above.values(figure), below.values(figure), strict=True)
    return statistics.median(first / second for first, second in pairs)
