"""The steps of `sluice up`."""

import contextlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import typer
from rich.console import Console

from sluice.cli.dev_key import ensure_key
from sluice.cli.ports import check_ports
from sluice.cli.pull import pull_models
from sluice.cli.watch import watch
from sluice.errors import MissingRequirement, ProcessFailed
from sluice.home import Home
from sluice.models.engine import choose_device, choose_dtype, detect_hardware
from sluice.processes.groups import end_leftovers
from sluice.processes.logfile import bound, log_path, tail
from sluice.processes.plan import ProcessSpec, gateway_url, plan
from sluice.processes.state import (
    Phase,
    PlatformState,
    ask_to_stop,
    read_state,
    recorded_groups,
    signal_supervisor,
    supervisor_pid,
)
from sluice.settings import Settings
from sluice.settings_files import load_settings


def bring_up() -> None:
    """Fetch, start what is missing, wait until it is ready, print how to use it.

    Raises:
        SluiceError: a port is taken, a model is not to be had, or a process fails; what runs goes on.
    """
    console = Console(stderr=True, highlight=False)
    settings = load_settings()
    home = settings.home
    pull_models(settings, home, list(settings.models), console)
    specs = plan(settings, home)
    state = read_state(home) if supervisor_pid(home) else PlatformState()
    missing = [spec for spec in specs if not spec.on_demand and not _is_up(spec, state)]
    if missing:
        _start(settings, home, missing, state, console)
    _warn_of_changes(specs, state, console)
    _print_on_demand(specs)
    _print_result(settings, home)


def _start(settings: Settings, home: Home, missing: list[ProcessSpec], state: PlatformState, console: Console) -> None:
    _set_up(settings)
    _end_leftovers(home)
    names = [spec.name for spec in missing]
    _check_ports(settings, home, names)
    _print_choices(settings, names, console)
    daemon = None
    try:
        if state.pid:
            _reload(home, state)
        else:
            daemon = _spawn_supervisor(home)
            _await_supervisor(home, daemon)
        watch(home, names, console)
    except KeyboardInterrupt:
        console.print("Interrupted: stopping what was being started …")
        _stop_again(home, daemon, names)
        raise typer.Exit(130) from None


def _end_leftovers(home: Home) -> None:
    """End what a killed supervisor left; but by now another `sluice up` may have started one, whose processes these are."""
    if supervisor_pid(home) is None:
        end_leftovers(recorded_groups(read_state(home)))


def _set_up(settings: Settings) -> None:
    """Bring the database up to date, and have each package put in what it ships (entry points `sluice.setup`)."""
    from sluice.database import connect, migrate

    migrate(settings.database_url)
    engine = connect(settings.database_url)
    for entry in importlib.metadata.entry_points(group="sluice.setup"):
        entry.load()(engine)
    engine.dispose()


def _check_ports(settings: Settings, home: Home, names: list[str]) -> None:
    """Check the ports of those that do not run. The supervisor may start one of them again at any moment."""
    idle = _without_process(home, names)
    try:
        check_ports(settings, idle)
    except MissingRequirement:
        if _without_process(home, names) == idle:
            raise


def _without_process(home: Home, names: list[str]) -> list[str]:
    processes = read_state(home).processes if supervisor_pid(home) else {}
    return [name for name in names if name not in processes or processes[name].pid is None]


def _is_up(spec: ProcessSpec, state: PlatformState) -> bool:
    process = state.processes.get(spec.name)
    return process is not None and process.phase is Phase.READY


def _print_choices(settings: Settings, names: list[str], console: Console) -> None:
    """Say on what and in which precision each model that is started will run, and why."""
    hardware = detect_hardware()
    for name, model in settings.models.items():
        if model.kind != "chat" or model.router.is_elsewhere:
            continue
        if any(process.split("/")[0] == name for process in names):
            device, device_reason = choose_device(model, hardware)
            dtype, dtype_reason = choose_dtype(model, device, hardware.cpu_flags)
            text = f"{name}: device {device} ({device_reason}), dtype {dtype} ({dtype_reason})"
            console.print(text, markup=False, soft_wrap=True)


def _spawn_supervisor(home: Home) -> subprocess.Popen[bytes]:
    """Start the supervisor in a session of its own, so that it outlives this terminal."""
    path = log_path(home.logs, "supervisor")
    path.parent.mkdir(parents=True, exist_ok=True)
    bound(path)
    with path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "sluice.processes"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _await_supervisor(home: Home, daemon: subprocess.Popen[bytes]) -> None:
    while not (supervisor_pid(home) == daemon.pid and read_state(home).pid == daemon.pid):
        if daemon.poll() is not None:
            last = "; ".join(tail(log_path(home.logs, "supervisor"), 1)) or f"exit code {daemon.returncode}"
            raise ProcessFailed(f"The supervisor ended at once: {last}", fix="See: sluice logs supervisor")
        time.sleep(0.05)
    if problem := read_state(home).error:
        raise ProcessFailed(problem)


def _reload(home: Home, before: PlatformState) -> None:
    """Have the running supervisor start what is missing; return when it has begun."""
    signal_supervisor(home, signal.SIGHUP)
    deadline = time.monotonic() + 30
    while (state := read_state(home)).reloads <= before.reloads:
        if not supervisor_pid(home) or time.monotonic() > deadline:
            raise ProcessFailed("The supervisor does not answer.", fix="Run: sluice down, then: sluice up")
        time.sleep(0.05)
    if state.error:
        raise ProcessFailed(state.error)


def _stop_again(home: Home, daemon: subprocess.Popen[bytes] | None, names: list[str]) -> None:
    if daemon:
        daemon.send_signal(signal.SIGTERM)
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C leaves it to end by itself
            daemon.wait()
    else:
        ask_to_stop(home, names)
        signal_supervisor(home, signal.SIGHUP)


def _warn_of_changes(specs: list[ProcessSpec], state: PlatformState, console: Console) -> None:
    """What already ran was left alone; say so where the settings now say something else."""
    planned = {spec.name: spec.fingerprint for spec in specs}
    for name, process in state.processes.items():
        if process.phase is Phase.READY and planned.get(name) != process.fingerprint:
            what = "runs with earlier settings" if name in planned else "runs but is not in the settings any more"
            console.print(f"{name} {what}. To apply them: sluice down, then: sluice up", markup=False)


def _print_result(settings: Settings, home: Home) -> None:
    url = gateway_url(settings.gateway)
    key = ensure_key(settings, home, url)
    shown = _relative(home.dev_env)
    typer.echo(f"\nSluice is ready.\n  base URL  {url}/v1\n  API key   {key}\n  both      source {shown}\n")
    chat = [name for name, model in settings.models.items() if model.kind == "chat"] or list(settings.routes)
    if chat:
        body = f'{{"model": "{chat[0]}", "temperature": 0, "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'
        typer.echo(f"curl {url}/v1/chat/completions \\\n  -H 'Authorization: Bearer {key}' \\")
        typer.echo(f"  -H 'Content-Type: application/json' \\\n  -d '{body}'")


def _print_on_demand(specs: list[ProcessSpec]) -> None:
    """What more there is, and that nobody pays for it before it is used."""
    parts = [f"  {spec.name}: {spec.about}" for spec in specs if spec.on_demand]
    if parts:
        typer.echo("\nStarted when first asked for:\n" + "\n".join(parts))


QUESTION = "What is the capital of France?"


def _relative(path: Path) -> str:
    here = Path.cwd()
    return os.fspath(path.relative_to(here)) if path.is_relative_to(here) else os.fspath(path)
