"""One supervised process: start, wait until it is healthy, watch, start again, stop."""

import asyncio
import contextlib
import os
import random
import time
from asyncio.subprocess import STDOUT, Process
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from sluice.errors import ProcessFailed
from sluice.lifetime import die_with_parent
from sluice.processes.groups import kill_group, members
from sluice.processes.health import is_healthy
from sluice.processes.logfile import bound, log_path, tail
from sluice.processes.plan import ProcessSpec
from sluice.processes.state import Phase, ProcessState

TAIL_LINES = 20


@dataclass(frozen=True)
class Patience:
    """How a process is watched and started again.

    Args:
        poll_seconds: between health checks while it starts; `check_seconds`: once it is ready.
        checks: so many failed checks in a row, each given `answer_seconds`, mean that it hangs.
        failures: it is given up after so many ends without `steady_seconds` of health between them.
        backoff_seconds: the pause after the first end, doubled each time up to `longest_backoff_seconds`.
    """

    poll_seconds: float = 0.5
    check_seconds: float = 5
    answer_seconds: float = 10
    checks: int = 6
    failures: int = 5
    steady_seconds: float = 600
    backoff_seconds: float = 1
    longest_backoff_seconds: float = 60


class Child:
    """Keeps the process of one spec running until it is stopped or fails too often.

    `spec` may be replaced at any time; the next start uses it. `on_change` is called after each change of `state`,
    `on_ready` with the seconds a start took.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        logs: Path,
        on_change: Callable[[], None],
        on_ready: Callable[[str, float], None],
        patience: Patience | None = None,
    ) -> None:
        self.spec = spec
        self.log = log_path(logs, spec.name)
        self.state = ProcessState(spec.name, Phase.STOPPED, spec.health_url, since=time.time())
        self._on_change = on_change
        self._on_ready = on_ready
        self._patience = patience or Patience()
        self._failures = 0
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, or begin anew where it failed or waits; a process that runs is left alone."""
        if self.state.phase in (Phase.STARTING, Phase.READY):
            return
        if self._task:
            self._task.cancel()  # it is in a pause or over: no process runs
        self._failures = 0
        self._set(phase=Phase.STARTING, error="", restarts=0)
        self._task = asyncio.create_task(self._keep_running(), name=self.spec.name)

    async def stop(self) -> None:
        """SIGTERM, and after `stop_seconds` SIGKILL to all of its group."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._end_process()
        self._set(phase=Phase.STOPPED, pid=None, members=())

    def refresh(self) -> None:
        """Keep the log bounded and the record of the group's members current."""
        bound_now = bound(self.log)
        now = self._members()
        if bound_now or set(now) != set(self.state.members):
            self._set(members=now, log_from=0 if bound_now else self.state.log_from)

    async def _keep_running(self) -> None:
        while True:
            try:
                await self._run_once()
            except ProcessFailed as failure:
                error = str(failure)
            await self._end_process()
            self._failures += 1
            if self._failures >= self._patience.failures:
                self._set(phase=Phase.FAILED, pid=None, members=(), error=error)
                return
            self._set(phase=Phase.BACKOFF, pid=None, members=(), error=error)
            await asyncio.sleep(self._pause_seconds())
            self._set(phase=Phase.STARTING, restarts=self.state.restarts + 1)

    async def _run_once(self) -> NoReturn:
        """From one start to that process's end, which always is a failure: who stops it cancels us."""
        process = await self._start_process()
        started = time.monotonic()
        ended = asyncio.create_task(process.wait())
        try:
            await self._until_healthy(ended, started)
            self._on_ready(self.spec.name, time.monotonic() - started)
            self._set(phase=Phase.READY, members=self._members())
            await self._while_healthy(ended)
        finally:
            ended.cancel()

    async def _start_process(self) -> Process:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        bound(self.log)
        with self.log.open("ab") as log:
            log_from = log.tell()
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self.spec.command,
                    env={**os.environ, **self.spec.environment},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=STDOUT,
                    start_new_session=True,
                    preexec_fn=die_with_parent(),
                )
            except OSError as error:
                reason = f"'{self.spec.command[0]}': {error.strerror}"
                raise ProcessFailed(
                    f"{self.spec.name} cannot be started: {reason}.", fix="Run: sluice doctor"
                ) from None
        self._set(
            pid=self._process.pid,
            members=self._members(),
            started_at=time.time(),
            log_from=log_from,
            fingerprint=self.spec.fingerprint,
            url=self.spec.health_url,
            expected_seconds=self.spec.expected_seconds,
        )
        return self._process

    async def _until_healthy(self, ended: asyncio.Task[int], started: float) -> None:
        while not await self._answers(ended):
            if time.monotonic() - started > self.spec.start_seconds:
                raise self._failure(f"was not healthy after {self.spec.start_seconds:g} s")
            await self._wait(ended, self._patience.poll_seconds)

    async def _while_healthy(self, ended: asyncio.Task[int]) -> NoReturn:
        missed = 0
        healthy_since = time.monotonic()
        while missed < self._patience.checks:
            await self._wait(ended, self._patience.check_seconds)
            missed = 0 if await self._answers(ended) else missed + 1
            if time.monotonic() - healthy_since > self._patience.steady_seconds:
                self._failures = 0
        raise self._failure(f"failed {missed} health checks")

    async def _answers(self, ended: asyncio.Task[int]) -> bool:
        """One health check, given up at once when the process ends."""
        check = asyncio.create_task(is_healthy(self.spec.health_url, self._patience.answer_seconds))
        try:
            await asyncio.wait([check, ended], return_when=asyncio.FIRST_COMPLETED)
            self._raise_if(ended)
            return check.result()
        finally:
            check.cancel()

    async def _wait(self, ended: asyncio.Task[int], seconds: float) -> None:
        await asyncio.wait([ended], timeout=seconds)
        self._raise_if(ended)

    def _raise_if(self, ended: asyncio.Task[int]) -> None:
        if ended.done():
            code = ended.result()
            raise self._failure(f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}")

    def _failure(self, what: str) -> ProcessFailed:
        last = "\n".join(tail(self.log, TAIL_LINES, self.state.log_from))
        return ProcessFailed(f"{self.spec.name} {what}." + (f" Its log ends with:\n{last}" if last else ""))

    async def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self.spec.stop_seconds)
        kill_group(process.pid)  # also what it left behind: an engine has children
        await process.wait()
        self._process = None

    def _pause_seconds(self) -> float:
        pause = self._patience.backoff_seconds * 2 ** (self._failures - 1)
        return min(pause, self._patience.longest_backoff_seconds) * random.uniform(0.8, 1.2)  # noqa: S311

    def _members(self) -> tuple[tuple[int, float], ...]:
        return tuple(members([self._process.pid])[self._process.pid]) if self._process else ()

    def _set(self, **changes: Any) -> None:
        phase = changes.get("phase")
        if phase and phase != self.state.phase:
            changes["since"] = time.time()
        self.state = self.state.changed(**changes)
        self._on_change()
