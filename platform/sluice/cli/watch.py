"""Showing how starting processes come along, until all are ready or one has failed."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from sluice.errors import ProcessFailed
from sluice.home import Home
from sluice.models.engine import STAGES
from sluice.processes.logfile import log_path, tail
from sluice.processes.state import Phase, ProcessState, read_state, read_timings, supervisor_pid

POLL_SECONDS = 0.25
LINE_SECONDS = 5


def watch(home: Home, names: list[str], console: Console) -> None:
    """Wait for the processes `names`: a bar for each on a terminal, a line every few seconds elsewhere.

    Raises:
        ProcessFailed: one of them ended; its last log lines are shown first. The others go on.
    """
    if console.is_terminal:
        columns = (TextColumn("{task.fields[name]}"), BarColumn(bar_width=20), TextColumn("{task.description}"))
        with Progress(*columns, console=console) as progress:
            bars = {name: progress.add_task("waiting", name=name, total=1.0) for name in names}
            failed = _wait(home, names, _Bars(progress, bars))
    else:
        failed = _wait(home, names, _Lines(console))
    if failed:
        first, *last_lines = failed.error.splitlines() or [f"{failed.name} is {failed.phase}."]
        for line in last_lines:
            console.print(f"  {line}", markup=False, soft_wrap=True)
        more = f"sluice logs {failed.name}"
        raise ProcessFailed(first.removesuffix(" Its log ends with:"), fix=f"See: {more}; when mended: sluice up")


def stage(process: ProcessState, home: Home) -> str:
    """What a starting process is at, from the last line of its log that says so."""
    if process.pid is None:  # its log still ends with an earlier start
        return "waiting"
    for line in reversed(tail(log_path(home.logs, process.name), 400, process.log_from)):
        for sign, meaning in STAGES.items():
            if sign in line:
                return meaning
    return "starting Python"


class _Bars:
    def __init__(self, progress: Progress, bars: dict[str, TaskID]) -> None:
        self._progress = progress
        self._bars = bars

    def show(self, process: ProcessState, elapsed: float, expected: float, what: str) -> None:
        ready = process.phase is Phase.READY
        done = 1.0 if ready else min(elapsed / expected, 0.98)
        text = f"ready after {elapsed:.0f} s" if ready else f"{elapsed:.0f} of about {expected:.0f} s, {what}"
        self._progress.update(self._bars[process.name], completed=done, description=text)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, float] = {}

    def show(self, process: ProcessState, elapsed: float, expected: float, what: str) -> None:
        if process.phase is Phase.READY:
            self._console.print(f"{process.name}: ready after {elapsed:.0f} s", markup=False)
        elif elapsed - self._last.get(process.name, 0) >= LINE_SECONDS:
            self._last[process.name] = elapsed
            self._console.print(f"{process.name}: {elapsed:.0f} of about {expected:.0f} s, {what}", markup=False)


def _wait(home: Home, names: list[str], view: _Bars | _Lines) -> ProcessState | None:
    """Until all are ready (None), or the first has failed (returned)."""
    timings = read_timings(home)
    waiting = set(names)
    restarts = {name: process.restarts for name, process in read_state(home).processes.items()}
    while waiting:
        state = read_state(home)
        for process in [state.processes[name] for name in names if name in waiting and name in state.processes]:
            if process.restarts > restarts.get(process.name, 0) or process.phase in (
                Phase.BACKOFF,
                Phase.FAILED,
                Phase.STOPPED,
            ):
                return process
            expected = timings.get(process.name) or process.expected_seconds or 1
            end = process.since if process.phase is Phase.READY else time.time()
            view.show(process, end - (process.started_at or end), expected, stage(process, home))
            if process.phase is Phase.READY:
                waiting.discard(process.name)
        if waiting and not supervisor_pid(home):
            raise ProcessFailed("The supervisor has ended.", fix="See: sluice logs supervisor")
        time.sleep(POLL_SECONDS)
    return None
