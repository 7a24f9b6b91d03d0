"""Starting what is started on demand: asked of the supervisor by whoever needs it first."""

import signal
import time
from collections.abc import Callable

from sluice.errors import MissingRequirement, ProcessFailed
from sluice.home import Home
from sluice.processes.state import Phase, ProcessState, demand, read_state, signal_supervisor, supervisor_pid

POLL_SECONDS = 0.1
NOTICE_SECONDS = 10
"""How long the supervisor may take to see that something is wanted."""


def await_started(home: Home, name: str, on_wait: Callable[[ProcessState], None] = lambda _: None) -> None:
    """Have the supervisor start the process `name`, and return when it is ready; at once where it is.

    Args:
        on_wait: called with its state, some times a second, while it starts.

    Raises:
        MissingRequirement: the platform does not run, or has no such process.
        ProcessFailed: it did not become ready.
    """
    if _state(home, name).phase is Phase.READY:
        return
    demand(home, name)
    signal_supervisor(home, signal.SIGHUP)
    asked = time.monotonic()
    restarts: int | None = None
    while (state := _state(home, name)).phase is not Phase.READY:
        if not state.since and time.monotonic() - asked > NOTICE_SECONDS:
            problem = read_state(home).error
            raise MissingRequirement(problem or f"The settings describe no service '{name}'.", fix="See: sluice status")
        if state.since:
            restarts = state.restarts if restarts is None else restarts
            if state.phase is Phase.FAILED or state.restarts > restarts:
                first = state.error.partition("\n")[0].removesuffix(" Its log ends with:")
                raise ProcessFailed(first or f"{name} does not start.", fix=f"See: sluice logs {name}")
            on_wait(state)
        time.sleep(POLL_SECONDS)


def _state(home: Home, name: str) -> ProcessState:
    if supervisor_pid(home) is None:
        raise MissingRequirement("The platform does not run.", fix="Run: sluice up")
    return read_state(home).processes.get(name) or ProcessState(name, Phase.STOPPED, url="", since=0)
