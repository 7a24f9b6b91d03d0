import subprocess
from pathlib import Path

import psutil

from sluice.cli import bring_up
from sluice.home import Home
from sluice.processes.state import Phase, PlatformState, ProcessState, supervisor_lock, write_state


def test_only_what_no_supervisor_keeps_is_a_leftover(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with subprocess.Popen(["sleep", "3600"], start_new_session=True) as process:
        member = (process.pid, psutil.Process(process.pid).create_time())
        state = ProcessState("m", Phase.READY, url="", since=0, pid=process.pid, members=(member,))
        write_state(home, PlatformState(pid=1, processes={"m": state}))
        with supervisor_lock(home):
            bring_up._end_leftovers(home)
            assert process.poll() is None
        bring_up._end_leftovers(home)
        process.wait(60)  # it has ended; whoever waited first has its exit code
