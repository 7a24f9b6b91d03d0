import asyncio
import dataclasses
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from sluice.processes.child import Child
from sluice.processes.plan import ProcessSpec
from sluice.processes.state import Phase, ProcessState
from tests.sluice.processes.conftest import QUICK, SpecMaker


class Watched:
    """A child together with every state it went through."""

    def __init__(self, spec: ProcessSpec, logs: Path, patience=QUICK) -> None:
        self.states: list[ProcessState] = []
        self.starts: list[float] = []
        self.child = Child(
            spec, logs, lambda: self.states.append(self.child.state), lambda _, s: self.starts.append(s), patience
        )

    async def until(self, reached: Callable[[ProcessState], bool], seconds: float = 60) -> ProcessState:
        async with asyncio.timeout(seconds):
            while not reached(self.child.state):
                await asyncio.sleep(0.01)
        return self.child.state

    async def went_through(self, phase: Phase) -> ProcessState:
        """The first state in this phase, which may be over."""
        await self.until(lambda _: any(state.phase is phase for state in self.states))
        return next(state for state in self.states if state.phase is phase)

    async def __aenter__(self) -> "Watched":
        self.child.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.child.stop()


def is_ready(state: ProcessState) -> bool:
    return state.phase is Phase.READY


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_becomes_ready_and_stops(tmp_path: Path, make_spec: SpecMaker) -> None:
    async with Watched(make_spec("one", "import time; time.sleep(0.3); serve()"), tmp_path) as watched:
        state = await watched.until(is_ready)
        assert watched.starts[0] >= 0.3
        assert os.getpgid(state.pid) == state.pid
        assert [pid for pid, _ in state.members] == [state.pid]
    assert watched.child.state.phase is Phase.STOPPED
    assert not is_alive(state.pid)


async def test_an_exit_is_noticed_at_once_with_the_logs_last_lines(tmp_path: Path, make_spec: SpecMaker) -> None:
    code = "print(*range(100), sep='\\n'); sys.exit('no such device')"
    async with Watched(make_spec("one", code, start_seconds=600), tmp_path) as watched:
        state = await watched.went_through(Phase.BACKOFF)
        lines = state.error.splitlines()
        assert lines[0].startswith("one ended with exit code 1.")
        assert lines[-1] == "no such device"
        assert len(lines) == 21
        assert "80" not in lines


async def test_the_tail_holds_nothing_of_an_earlier_start(tmp_path: Path, make_spec: SpecMaker) -> None:
    (tmp_path / "one.log").write_text("from yesterday\n")
    async with Watched(make_spec("one", "sys.exit('today')"), tmp_path) as watched:
        state = await watched.until(lambda state: state.phase is Phase.FAILED)
        assert "yesterday" not in state.error
        assert state.error.count("today") == 1


async def test_gives_up_after_repeated_failures_and_can_be_started_again(tmp_path: Path, make_spec: SpecMaker) -> None:
    spec = make_spec("one", "sys.exit(3)")
    async with Watched(spec, tmp_path) as watched:
        state = await watched.until(lambda state: state.phase is Phase.FAILED)
        assert state.restarts == QUICK.failures - 1
        assert state.pid is None
        watched.child.spec = dataclasses.replace(make_spec("two", "serve()"), name="one")
        watched.child.start()
        state = await watched.until(is_ready)
        assert state.restarts == 0


async def test_a_crash_leads_to_a_restart(tmp_path: Path, make_spec: SpecMaker) -> None:
    async with Watched(make_spec("one", "serve()"), tmp_path) as watched:
        first = await watched.until(is_ready)
        os.kill(first.pid, signal.SIGKILL)
        second = await watched.until(lambda state: is_ready(state) and state.pid != first.pid)
        assert second.restarts == 1
        assert "was ended by signal 9" in second.error


async def test_a_steady_process_is_forgiven_its_failures(tmp_path: Path, make_spec: SpecMaker) -> None:
    patience = dataclasses.replace(QUICK, failures=2, steady_seconds=0.1)
    async with Watched(make_spec("one", "serve()"), tmp_path, patience) as watched:
        for _ in range(3):
            state = await watched.until(is_ready)
            await watched.until(lambda _: not watched.child._failures)
            os.kill(state.pid, signal.SIGKILL)
            await watched.until(lambda now, before=state: now.pid != before.pid)
        assert watched.child.state.phase is not Phase.FAILED


async def test_a_process_that_hangs_is_restarted(tmp_path: Path, make_spec: SpecMaker) -> None:
    patience = dataclasses.replace(QUICK, answer_seconds=1)
    async with Watched(make_spec("one", "serve()", stop_seconds=0.2), tmp_path, patience) as watched:
        first = await watched.until(is_ready)
        os.kill(first.pid, signal.SIGSTOP)
        second = await watched.until(lambda state: is_ready(state) and state.pid != first.pid)
        assert "failed 2 health checks" in second.error
        assert not is_alive(first.pid)


async def test_one_that_is_never_healthy_is_ended(tmp_path: Path, make_spec: SpecMaker) -> None:
    spec = make_spec("one", "import time; time.sleep(600)", start_seconds=0.3)
    async with Watched(spec, tmp_path) as watched:
        state = await watched.went_through(Phase.BACKOFF)
        assert "was not healthy after 0.3 s" in state.error


async def test_a_command_that_does_not_exist_fails_with_its_name(tmp_path: Path, make_spec: SpecMaker) -> None:
    spec = dataclasses.replace(make_spec("one", ""), command=("/no/such/python",))
    async with Watched(spec, tmp_path) as watched:
        state = await watched.until(lambda state: state.phase is Phase.FAILED)
        assert "'/no/such/python'" in state.error


async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path, make_spec: SpecMaker) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); serve()"
    async with Watched(make_spec("one", code, stop_seconds=0.3), tmp_path) as watched:
        state = await watched.until(is_ready)
        started = time.monotonic()
        async with asyncio.timeout(60):
            await watched.child.stop()
        assert time.monotonic() - started >= 0.3
        assert not is_alive(state.pid)


async def test_no_grandchild_is_left_whichever_way_it_ends(tmp_path: Path, make_spec: SpecMaker) -> None:
    code = """
import subprocess
grandchild = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(600)"])
open(sys.argv[0] + ".pid", "w").write(str(grandchild.pid))
serve()
"""
    spec = make_spec("one", code)
    async with Watched(spec, tmp_path) as watched:
        first = await watched.until(is_ready)
        grandchild = int(Path(spec.command[1] + ".pid").read_text())
        assert is_alive(grandchild)
        watched.child.refresh()
        assert {pid for pid, _ in watched.child.state.members} == {first.pid, grandchild}
        os.kill(first.pid, signal.SIGKILL)
        await watched.until(lambda state: is_ready(state) and state.pid != first.pid)
        await watched.until(lambda _: not is_alive(grandchild))
        grandchild = int(Path(spec.command[1] + ".pid").read_text())
    await watched.until(lambda _: not is_alive(grandchild))


async def test_a_running_process_is_not_started_again(tmp_path: Path, make_spec: SpecMaker) -> None:
    async with Watched(make_spec("one", "serve()"), tmp_path) as watched:
        state = await watched.until(is_ready)
        watched.child.start()
        await asyncio.sleep(0.1)
        assert watched.child.state.pid == state.pid
