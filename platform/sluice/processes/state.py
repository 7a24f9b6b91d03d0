"""What the supervisor tells the command line, in files below `run/`: each is replaced as a whole, so never torn."""

import contextlib
import fcntl
import os
import signal
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

import msgspec

from sluice.errors import ProcessFailed
from sluice.home import Home
from sluice.processes.groups import Member


class Phase(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    """It ended and is started again after a pause."""
    FAILED = "failed"
    """It ended too often; `sluice up` tries again."""
    STOPPED = "stopped"


@dataclass(frozen=True)
class ProcessState:
    """One process as it is now.

    Args:
        pid: also its process group's id; None when it does not run.
        members: the group's processes with their creation times.
        started_at: when this incarnation was started; `since`: when it came into this phase. Seconds since the epoch.
        log_from: where in the log file this incarnation's output begins.
        fingerprint: of the spec that it was started with.
    """

    name: str
    phase: Phase
    url: str
    since: float
    pid: int | None = None
    members: tuple[Member, ...] = ()
    started_at: float | None = None
    restarts: int = 0
    error: str = ""
    log_from: int = 0
    fingerprint: str = ""
    expected_seconds: float = 0

    def changed(self, **changes: Any) -> "ProcessState":
        """A copy with other values."""
        return replace(self, **changes)


@dataclass(frozen=True)
class PlatformState:
    """`state.json`. `reloads` counts the handled SIGHUPs; `error` says why the last one changed nothing."""

    pid: int = 0
    reloads: int = 0
    error: str = ""
    processes: dict[str, ProcessState] = field(default_factory=dict[str, ProcessState])


def read_state(home: Home) -> PlatformState:
    """The last state written, also by a supervisor that is gone; empty where there is none."""
    try:
        return msgspec.json.decode((home.run / "state.json").read_bytes(), type=PlatformState)
    except (FileNotFoundError, msgspec.DecodeError):  # none yet, or one of another version
        return PlatformState()


def recorded_groups(state: PlatformState) -> dict[int, list[Member]]:
    """The process groups that a state names, with their members."""
    return {process.pid: list(process.members) for process in state.processes.values() if process.pid}


def write_state(home: Home, state: PlatformState) -> None:
    """Replace `state.json`."""
    _replace(home.run / "state.json", state)


def read_timings(home: Home) -> dict[str, float]:
    """How long the last successful start of each process took, in seconds."""
    try:
        return msgspec.json.decode((home.run / "timings.json").read_bytes(), type=dict[str, float])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def write_timing(home: Home, name: str, seconds: float) -> None:
    """Note how long a start took."""
    _replace(home.run / "timings.json", {**read_timings(home), name: round(seconds, 1)})


def ask_to_stop(home: Home, names: list[str]) -> None:
    """Leave word for the supervisor to stop `names`; it reads it at the next SIGHUP."""
    _replace(home.run / "stop.json", names)


def take_stop_request(home: Home) -> list[str]:
    """The names left by `ask_to_stop`, once."""
    path = home.run / "stop.json"
    try:
        names = msgspec.json.decode(path.read_bytes(), type=list[str])
    except FileNotFoundError:
        return []
    path.unlink()
    return names


def demand(home: Home, name: str) -> None:
    """Leave word that a process that is started on demand is wanted from now on, until the supervisor ends."""
    (home.run / "demand").mkdir(parents=True, exist_ok=True)
    (home.run / "demand" / name).touch()


def demanded(home: Home) -> set[str]:
    """What `demand` was called for."""
    try:
        return {path.name for path in (home.run / "demand").iterdir()}
    except FileNotFoundError:
        return set()


def forget_demands(home: Home, names: Iterable[str]) -> None:
    """Let these be started on demand again."""
    for name in names:
        (home.run / "demand" / name).unlink(missing_ok=True)


@contextmanager
def supervisor_lock(home: Home) -> Generator[None]:
    """Hold the pid file, which says that a supervisor of this home folder runs and which process it is.

    Raises:
        ProcessFailed: another one runs.
    """
    home.run.mkdir(parents=True, exist_ok=True)
    with (home.run / "supervisor.pid").open("a+") as file:
        if not _try_lock(file, fcntl.LOCK_EX):
            raise ProcessFailed("A supervisor of this home folder runs already.", fix="See: sluice status")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.truncate(0)


def supervisor_pid(home: Home) -> int | None:
    """The running supervisor's process id; None when none runs."""
    try:
        with (home.run / "supervisor.pid").open() as file:
            if _try_lock(file, fcntl.LOCK_SH):
                return None
            return int(file.read() or 0) or None
    except FileNotFoundError:
        return None


def signal_supervisor(home: Home, number: signal.Signals) -> None:
    """Send a signal to the supervisor, if it runs."""
    if pid := supervisor_pid(home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _replace(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1))
    aside.replace(path)
