"""One Ray node on this machine, with the processes that work needs and no others.

It takes the place of `ray.init` without an address, which starts three more: the autoscaler's monitor; a monitor of logs
also where nobody reads them; and, with the dashboard off, a dashboard process whose one module tells Ray's makers over the
internet that telemetry is switched off, after it has asked the cloud's metadata service where it runs. They would cost 240 MB
and 11 s of processor time. Ray gives its agents 15 s to start, however busy the machine is, so the latter decides, too,
whether it starts at all beside a model that computes. The parts used are Ray's own and internal: ray is pinned exactly.
"""

import contextlib
import logging
from pathlib import Path
from typing import Any

import psutil
from ray._private.node import Node
from ray._private.parameter import RayParams

from sluice.errors import ProcessFailed

OBJECT_STORE_BYTES = 128 * 2**20
"""Ray's own floor is 75 MiB; a training set of this size is a few."""
ATTEMPTS = 4
"""The second finds all files in memory."""


class LeanNode(Node):
    """A node without a dashboard process."""

    def start_api_server(self, **_: Any) -> None:
        self._webui_url = ""


def start_node(folder: Path, cpus: int, logs: bool) -> LeanNode:
    """Start Ray's processes. They end when this process does, also by `kill -9`; then its agents take a minute.

    Args:
        folder: for its sockets and logs.
        logs: what workers print is passed on to their driver.

    Raises:
        ProcessFailed: it did not start.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    before = set(psutil.Process().children(recursive=True))
    for attempt in range(1, ATTEMPTS + 1):
        parameters = RayParams(
            num_cpus=cpus,
            num_gpus=0,
            object_store_memory=OBJECT_STORE_BYTES,
            temp_dir=str(folder),
            include_dashboard=False,
            include_log_monitor=logs,  # pyright: ignore[reportArgumentType], declared as text, used as a flag
            no_monitor=True,
        )
        try:
            return LeanNode(parameters, head=True, shutdown_at_exit=True, spawn_reaper=True)
        except Exception as error:  # Ray's word for a node that was too slow is a plain Exception
            _kill(set(psutil.Process().children(recursive=True)) - before)
            if attempt == ATTEMPTS:
                raise ProcessFailed(f"Ray did not start: {error}", fix="Try again when less else runs.") from error
    raise AssertionError("unreachable")


def _kill(processes: set[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=5)
