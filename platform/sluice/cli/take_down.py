"""`sluice down`."""

import signal
import time

import typer

from sluice.errors import ProcessFailed
from sluice.processes.groups import end_leftovers
from sluice.processes.state import (
    Phase,
    read_state,
    recorded_groups,
    signal_supervisor,
    supervisor_pid,
)
from sluice.settings_files import load_settings

LONGEST_STOP_SECONDS = 60
"""Beyond the gateway's own `drain_seconds`."""


def take_down() -> None:
    """Stop everything and wait for it.

    Raises:
        ProcessFailed: the supervisor does not end.
    """
    settings = load_settings()
    home = settings.home
    pid = supervisor_pid(home)
    if pid is None:
        left = end_leftovers(recorded_groups(read_state(home)))
        names = [name for name, process in read_state(home).processes.items() if process.pid in left]
        typer.echo(f"Ended what a killed supervisor left: {', '.join(names)}." if left else "Nothing is running.")
        return
    signal_supervisor(home, signal.SIGTERM)
    deadline = time.monotonic() + LONGEST_STOP_SECONDS + settings.gateway.drain_seconds
    told: set[str] = set()
    while True:
        ended = supervisor_pid(home) is None
        for name, process in sorted(read_state(home).processes.items(), key=lambda item: item[1].since):
            if process.phase is Phase.STOPPED and name not in told:
                told.add(name)
                typer.echo(f"{name}: stopped")
        if ended:
            return
        if time.monotonic() > deadline:
            raise ProcessFailed(f"The supervisor (process {pid}) does not end.", fix=f"Run: kill -9 {pid}; sluice down")
        time.sleep(0.1)
