import threading

import pytest

from sluice.errors import MissingRequirement, ProcessFailed
from sluice.home import Home
from sluice.processes.on_demand import await_started
from sluice.processes.plan import ProcessSpec
from sluice.processes.state import Phase, ask_to_stop, demanded, read_state, signal_supervisor
from tests.sluice.processes.conftest import SpecMaker
from tests.sluice.processes.test_supervisor import Daemon, daemon

__all__ = ["daemon"]


def on_demand(spec: ProcessSpec) -> ProcessSpec:
    return ProcessSpec(**{**vars(spec), "on_demand": True})


def test_it_starts_when_it_is_asked_for_and_once(
    daemon: Daemon, make_spec: SpecMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.set_plan(make_spec("always", "serve()"), on_demand(make_spec("later", "serve()")))
    daemon.start()
    assert "later" not in daemon.until_ready("always").processes
    waiting = [threading.Thread(target=await_started, args=(daemon.home, "later")) for _ in range(4)]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join(60)
    state = read_state(daemon.home).processes["later"]
    assert (state.phase, state.restarts) == (Phase.READY, 0)
    monkeypatch.setattr("sluice.processes.on_demand.demand", lambda *_: pytest.fail("it asked for what is ready"))
    await_started(daemon.home, "later")


def test_one_that_fails_is_told_with_its_reason(daemon: Daemon, make_spec: SpecMaker) -> None:
    daemon.set_plan(on_demand(make_spec("bad", "sys.exit('broken')")))
    daemon.start()
    with pytest.raises(ProcessFailed, match="bad ended with exit code 1"):
        await_started(daemon.home, "bad")


def test_stopped_on_request_it_waits_for_the_next_demand(daemon: Daemon, make_spec: SpecMaker) -> None:
    import signal

    daemon.set_plan(on_demand(make_spec("later", "serve()")))
    daemon.start()
    await_started(daemon.home, "later")
    ask_to_stop(daemon.home, ["later"])
    signal_supervisor(daemon.home, signal.SIGHUP)
    daemon.until(lambda state: state.processes["later"].phase is Phase.STOPPED)
    assert demanded(daemon.home) == set()
    await_started(daemon.home, "later")
    assert read_state(daemon.home).processes["later"].phase is Phase.READY


def test_without_a_supervisor_it_says_what_to_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(MissingRequirement, match="sluice up"):
        await_started(Home(tmp_path_factory.mktemp("home")), "later")
