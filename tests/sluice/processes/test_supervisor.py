"""The supervisor as a process of its own, with small real processes to keep."""

import contextlib
import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sluice.errors import ProcessFailed
from sluice.home import Home
from sluice.processes.plan import ProcessSpec
from sluice.processes.state import (
    Phase,
    PlatformState,
    ask_to_stop,
    read_state,
    read_timings,
    supervisor_lock,
    supervisor_pid,
)
from tests.sluice.processes.conftest import SpecMaker

DAEMON = """
import asyncio, pickle, sys
from pathlib import Path
from sluice.errors import ConfigurationError
from sluice.home import Home
from sluice.processes.state import supervisor_lock
from sluice.processes.supervisor import Supervisor
from tests.sluice.processes.conftest import QUICK
home, plan = Home(Path(sys.argv[1])), Path(sys.argv[2])
def make_plan():
    if plan.with_name("bad").exists():
        raise ConfigurationError("models.yaml is bad.")
    return pickle.loads(plan.read_bytes())
with supervisor_lock(home):
    asyncio.run(Supervisor(home, make_plan, QUICK).run())
"""


class Daemon:
    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.plan = folder / "plan"
        self.script = folder / "daemon.py"
        self.script.write_text(DAEMON)
        self.processes: list[subprocess.Popen[bytes]] = []

    def set_plan(self, *specs: ProcessSpec) -> None:
        self.plan.write_bytes(pickle.dumps(list(specs)))

    def start(self) -> subprocess.Popen[bytes]:
        root = Path(__file__).parents[3]
        process = subprocess.Popen(
            [sys.executable, str(self.script), str(self.home.root), str(self.plan)],
            env={**os.environ, "PYTHONPATH": f"{root}:{root / 'platform'}"},
        )
        self.processes.append(process)
        self.until(lambda state: state.pid == process.pid)
        return process

    def until(self, reached: Callable[[PlatformState], bool], seconds: float = 60) -> PlatformState:
        deadline = time.monotonic() + seconds
        while not reached(state := read_state(self.home)):
            assert time.monotonic() < deadline, state
            time.sleep(0.02)
        return state

    def until_ready(self, *names: str) -> PlatformState:
        return self.until(
            lambda state: set(names) <= {p.name for p in state.processes.values() if p.phase is Phase.READY}
        )


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    yield daemon
    for process in daemon.processes:
        process.terminate()
        process.wait(120)
    for process in read_state(daemon.home).processes.values():
        if process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_gone(pid: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


STUBBORN_GRANDCHILD = """
import subprocess
grandchild = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(600)"])
open(sys.argv[0] + ".pid", "w").write(str(grandchild.pid))
serve()
"""


def test_stops_from_the_last_group_to_the_first(daemon: Daemon, make_spec: SpecMaker) -> None:
    code = """
import atexit, signal, time
def note(*_):
    time.sleep(0.2)
    open(sys.argv[0].rsplit("/", 1)[0] + "/order", "a").write(sys.argv[0].rsplit("/", 1)[1] + " ")
    sys.exit()
signal.signal(signal.SIGTERM, note)
serve()
"""
    daemon.set_plan(
        make_spec("model", code, group=0), make_spec("router", code, group=1), make_spec("gate", code, group=2)
    )
    process = daemon.start()
    state = daemon.until_ready("model", "router", "gate")
    assert supervisor_pid(daemon.home) == process.pid
    assert set(read_timings(daemon.home)) == {"model", "router", "gate"}
    process.terminate()
    assert process.wait(120) == 0
    assert (daemon.plan.parent / "order").read_text() == "gate.py router.py model.py "
    assert not any(is_alive(child.pid) for child in state.processes.values() if child.pid)
    assert supervisor_pid(daemon.home) is None
    assert {child.phase for child in read_state(daemon.home).processes.values()} == {Phase.STOPPED}


def test_one_failing_process_does_not_touch_the_others(daemon: Daemon, make_spec: SpecMaker) -> None:
    daemon.set_plan(make_spec("good", "serve()"), make_spec("bad", "sys.exit('broken')"))
    daemon.start()
    daemon.until_ready("good")
    state = daemon.until(lambda state: state.processes["bad"].phase is Phase.FAILED)
    assert "broken" in state.processes["bad"].error
    assert state.processes["good"].restarts == 0


def test_processes_end_with_a_killed_supervisor(daemon: Daemon, make_spec: SpecMaker) -> None:
    daemon.set_plan(make_spec("one", "serve()"))
    process = daemon.start()
    pid = daemon.until_ready("one").processes["one"].pid
    process.kill()
    process.wait()
    wait_gone(pid)
    assert supervisor_pid(daemon.home) is None


def test_what_a_killed_supervisor_left_is_ended_by_the_next(daemon: Daemon, make_spec: SpecMaker) -> None:
    spec = make_spec("one", STUBBORN_GRANDCHILD)
    daemon.set_plan(spec)
    process = daemon.start()
    state = daemon.until_ready("one")
    grandchild = int(Path(spec.command[1] + ".pid").read_text())
    assert grandchild in [pid for pid, _ in state.processes["one"].members]
    process.kill()
    wait_gone(state.processes["one"].pid)
    assert is_alive(grandchild)
    daemon.set_plan()
    process.wait()
    daemon.start()
    wait_gone(grandchild)


def test_a_recycled_process_id_is_left_alone(daemon: Daemon, make_spec: SpecMaker) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        created = psutil.Process(bystander.pid).create_time()
        daemon.set_plan(make_spec("one", "serve()"))
        process = daemon.start()
        state = daemon.until_ready("one")
        process.terminate()
        process.wait(120)
        other = dataclasses.replace(
            state.processes["one"], pid=bystander.pid, members=((bystander.pid, created - 3600),)
        )
        from sluice.processes.state import write_state

        write_state(daemon.home, dataclasses.replace(state, processes={"one": other}))
        daemon.start()
        daemon.until_ready("one")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_sighup_starts_only_what_is_new_or_failed(daemon: Daemon, make_spec: SpecMaker) -> None:
    kept, failing = make_spec("kept", "serve()"), make_spec("failing", "sys.exit(1)")
    daemon.set_plan(kept, failing)
    process = daemon.start()
    daemon.until_ready("kept")
    before = daemon.until(lambda state: state.processes["failing"].phase is Phase.FAILED)
    mended = dataclasses.replace(make_spec("mended", "serve()"), name="failing")
    changed = dataclasses.replace(kept, environment={"CHANGED": "1"})
    daemon.set_plan(changed, mended, make_spec("new", "serve()"))
    process.send_signal(signal.SIGHUP)
    after = daemon.until_ready("kept", "failing", "new")
    assert after.reloads == 1
    assert after.processes["kept"].pid == before.processes["kept"].pid
    assert after.processes["kept"].fingerprint == kept.fingerprint != changed.fingerprint


def test_bad_settings_at_sighup_change_nothing_and_are_told(daemon: Daemon, make_spec: SpecMaker) -> None:
    daemon.set_plan(make_spec("one", "serve()"))
    process = daemon.start()
    before = daemon.until_ready("one")
    daemon.plan.with_name("bad").touch()
    process.send_signal(signal.SIGHUP)
    after = daemon.until(lambda state: state.reloads == 1)
    assert after.error == "models.yaml is bad."
    assert after.processes["one"].pid == before.processes["one"].pid


def test_named_processes_can_be_stopped(daemon: Daemon, make_spec: SpecMaker) -> None:
    daemon.set_plan(make_spec("one", "serve()"), make_spec("two", "serve()"))
    process = daemon.start()
    daemon.until_ready("one", "two")
    ask_to_stop(daemon.home, ["two"])
    process.send_signal(signal.SIGHUP)
    state = daemon.until(lambda state: state.processes["two"].phase is Phase.STOPPED)
    assert state.processes["one"].phase is Phase.READY


def test_the_state_is_never_torn(daemon: Daemon, make_spec: SpecMaker) -> None:
    daemon.set_plan(*(make_spec(f"crashing{number}", "sys.exit(1)") for number in range(3)))
    path = daemon.home.run / "state.json"
    seen: set[str] = set()
    process = daemon.start()
    deadline = time.monotonic() + 60
    while len(seen) <= 20:
        assert time.monotonic() < deadline
        text = path.read_text()
        json.loads(text)
        if text not in seen:
            seen.add(text)
            process.send_signal(signal.SIGHUP)  # which starts those anew that have failed


def test_only_one_supervisor_runs_for_a_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert supervisor_pid(home) is None
    with supervisor_lock(home):
        assert supervisor_pid(home) == os.getpid()
        with pytest.raises(ProcessFailed, match="runs already"), supervisor_lock(home):
            pass
    assert supervisor_pid(home) is None
