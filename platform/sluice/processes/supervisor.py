"""All processes of a deployment, kept running by one small process without a terminal.

SIGTERM stops everything, in order. SIGHUP reads the settings again and starts what is new, failed or waiting; what runs
is left alone, and takes changed settings at its next start.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from itertools import groupby

from sluice.errors import SluiceError
from sluice.home import Home
from sluice.processes.child import Child, Patience
from sluice.processes.groups import end_leftovers
from sluice.processes.plan import ProcessSpec
from sluice.processes.state import (
    PlatformState,
    demanded,
    forget_demands,
    read_state,
    recorded_groups,
    take_stop_request,
    write_state,
    write_timing,
)

log = logging.getLogger("sluice.supervisor")

REFRESH_SECONDS = 5


class Supervisor:
    """Runs what `make_plan` names until it is told to stop. The caller holds the supervisor's lock."""

    def __init__(
        self, home: Home, make_plan: Callable[[], list[ProcessSpec]], patience: Patience | None = None
    ) -> None:
        self._home = home
        self._make_plan = make_plan
        self._patience = patience
        self._children: dict[str, Child] = {}
        self._reloads = 0
        self._error = ""

    async def run(self) -> None:
        """Start everything; return when everything is stopped."""
        self._end_leftovers()
        take_stop_request(self._home)  # meant for an earlier supervisor, as were the demands
        forget_demands(self._home, demanded(self._home))
        stop, reload = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, stop.set)
        loop.add_signal_handler(signal.SIGHUP, reload.set)
        self._start_missing()
        tasks = [asyncio.create_task(self._reload_when(reload)), asyncio.create_task(self._refresh())]
        await stop.wait()
        for task in tasks:
            task.cancel()
        log.info("stopping")
        await self._stop(list(self._children.values()))
        log.info("stopped")

    def _end_leftovers(self) -> None:
        """End what a supervisor that was killed left running: it would hold ports and memory."""
        for group in end_leftovers(recorded_groups(read_state(self._home))):
            log.warning("ended process group %d, left by an earlier supervisor", group)

    def _start_missing(self) -> None:
        try:
            specs = self._make_plan()
        except SluiceError as error:
            self._error = str(error)
            log.error("settings not taken: %s", error)
        else:
            self._error = ""
            wanted = demanded(self._home)
            for spec in specs:
                if not spec.on_demand or spec.name in wanted:
                    self._start(spec)
        self._write()

    def _start(self, spec: ProcessSpec) -> None:
        if spec.name not in self._children:
            self._children[spec.name] = Child(spec, self._home.logs, self._write, self._note_ready, self._patience)
        child = self._children[spec.name]
        child.spec = spec
        child.start()

    async def _reload_when(self, asked: asyncio.Event) -> None:
        while True:
            await asked.wait()
            asked.clear()
            if names := take_stop_request(self._home):
                forget_demands(self._home, names)
                await self._stop([self._children[name] for name in names if name in self._children])
            else:
                self._start_missing()
            self._reloads += 1
            self._write()

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            for child in self._children.values():
                child.refresh()

    async def _stop(self, children: list[Child]) -> None:
        """Group by group, so that what takes requests ends before what it needs."""
        by_group = sorted(children, key=lambda child: -child.spec.group)
        for _, group in groupby(by_group, key=lambda child: child.spec.group):
            await asyncio.gather(*(child.stop() for child in group))

    def _note_ready(self, name: str, seconds: float) -> None:
        log.info("%s is ready after %.1f s", name, seconds)
        write_timing(self._home, name, seconds)

    def _write(self) -> None:
        processes = {name: child.state for name, child in self._children.items()}
        write_state(self._home, PlatformState(os.getpid(), self._reloads, self._error, processes))
