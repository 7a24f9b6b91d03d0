import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from sluice.cli.watch import stage, watch
from sluice.errors import ProcessFailed
from sluice.home import Home
from sluice.processes.state import Phase, PlatformState, ProcessState, supervisor_lock, write_state

VLLM_LOG = """\
(APIServer pid=1) INFO 11-24 18:12:12 [api_utils.py:286] non-default args: {'host': '127.0.0.1'}
(EngineCore pid=2) INFO 11-24 18:12:43 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='m'
(Worker pid=3) INFO 11-24 18:12:59 [cpu_model_runner.py:68] Starting to load model m...
(Worker pid=3) INFO 11-24 18:13:00 [default_loader.py:501] Loading weights took 0.69 seconds
(EngineCore pid=2) INFO 11-24 18:13:01 [kv_cache_utils.py:2327] CPU KV cache size: 46,592 tokens
(EngineCore pid=2) INFO 11-24 18:13:04 [core.py:402] init engine (profile, create kv cache, warmup model) took 2.59 s
""".splitlines(keepends=True)


def state(phase: Phase, **changes: object) -> ProcessState:
    return ProcessState("small", phase, "http://127.0.0.1:1/health", time.time(), pid=1).changed(**changes)


def test_the_stage_is_read_from_vllms_log(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.logs.mkdir()
    seen = [stage(state(Phase.STARTING), home)]
    for line in VLLM_LOG:
        with (home.logs / "small.log").open("a") as log:
            log.write(line)
        seen.append(stage(state(Phase.STARTING), home))
    assert seen == [
        "starting Python",
        "reading the model's configuration",
        "starting the engine",
        "loading weights",
        "preparing the key-value cache",
        "warming up",
        "starting the server",
    ]


def test_an_earlier_starts_log_is_not_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.logs.mkdir()
    (home.logs / "small.log").write_text("".join(VLLM_LOG))
    assert stage(state(Phase.STARTING, pid=None), home) == "waiting"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_failure_shows_the_log_and_raises_one_line(tmp_path: Path, terminal: bool) -> None:
    home = Home(tmp_path)
    out = StringIO()
    error = "small ended with exit code 1. Its log ends with:\nout of [memory]"
    with supervisor_lock(home):
        write_state(home, PlatformState(processes={"small": state(Phase.BACKOFF, error=error)}))
        with pytest.raises(ProcessFailed) as raised:
            watch(home, ["small"], Console(file=out, force_terminal=terminal, width=100, highlight=False))
    assert raised.value.message == "small ended with exit code 1."
    assert "out of [memory]" in out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_ready_ends_the_wait(tmp_path: Path, terminal: bool) -> None:
    home = Home(tmp_path)
    out = StringIO()
    with supervisor_lock(home):
        ready = state(Phase.READY, started_at=time.time() - 7, restarts=2)  # earlier restarts are no failure now
        write_state(home, PlatformState(processes={"small": ready}))
        watch(home, ["small"], Console(file=out, force_terminal=terminal, width=100, highlight=False))
    assert "ready after 7 s" in out.getvalue()


def test_a_supervisor_that_ended_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_state(home, PlatformState(processes={"small": state(Phase.STARTING)}))
    with pytest.raises(ProcessFailed, match="supervisor has ended"):
        watch(home, ["small"], Console(file=StringIO()))
