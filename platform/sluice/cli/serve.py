"""`sluice models serve`."""

import contextlib
import os
import subprocess
import time

from rich.console import Console

from sluice.cli.ports import check_ports
from sluice.cli.pull import pull_models
from sluice.errors import ProcessFailed
from sluice.lifetime import die_with_parent
from sluice.models.engine import detect_hardware
from sluice.processes.groups import kill_group
from sluice.processes.plan import ProcessSpec, plan_model
from sluice.settings import Settings

Running = tuple[ProcessSpec, "subprocess.Popen[bytes]"]


def serve_model(name: str, settings: Settings) -> None:
    """Run the processes of model `name` with this terminal as their log, until Ctrl-C.

    Raises:
        ProcessFailed: one of them ended by itself.
    """
    console = Console(stderr=True, highlight=False)
    home = settings.home
    pull_models(settings, home, [name], console)
    specs = plan_model(name, settings, home, detect_hardware())
    check_ports(settings, [spec.name for spec in specs])
    console.print(f"{name}: http://127.0.0.1:{settings.models[name].port}/v1 (Ctrl-C ends it)", markup=False)
    running: list[Running] = []
    try:
        for spec in specs:
            running.append((spec, _start(spec)))
        _raise_when_one_ends(running)
    except KeyboardInterrupt:
        console.print("stopping …")
    finally:
        for _, process in running:
            process.terminate()
        for spec, process in running:
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(spec.stop_seconds)
            kill_group(process.pid)


def _start(spec: ProcessSpec) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603
            spec.command,
            env={**os.environ, **spec.environment},
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
    except OSError as error:
        problem = f"{spec.name} cannot be started: '{spec.command[0]}': {error.strerror}."
        raise ProcessFailed(problem, fix="Run: sluice doctor") from None


def _raise_when_one_ends(running: list[Running]) -> None:
    while True:
        for spec, process in running:
            if process.poll() is not None:
                raise ProcessFailed(f"{spec.name} ended with exit code {process.returncode}.", fix="See its log above.")
        time.sleep(0.2)
