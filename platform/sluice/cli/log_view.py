"""`sluice logs`."""

import contextlib
import time
from pathlib import Path

import typer

from sluice.errors import NotFound
from sluice.processes.logfile import log_path, tail
from sluice.processes.state import read_state
from sluice.settings_files import load_settings

POLL_SECONDS = 0.3


def show_logs(name: str | None, follow: bool, lines: int) -> None:
    """Print the last lines of one process, of a model's processes or of all; the name before each line if several.

    Raises:
        NotFound: there is no such process.
    """
    home = load_settings().home
    known = [*read_state(home).processes, "supervisor"]
    chosen = [process for process in known if name is None or process == name or process.startswith(f"{name}/")]
    if not chosen:
        raise NotFound(f"There is no process '{name}'.", fix=f"There are: {', '.join(known)}.")
    width = max(map(len, chosen))
    prefixes = {process: "" if len(chosen) == 1 else f"{process:{width}} | " for process in chosen}
    paths = {process: log_path(home.logs, process) for process in chosen}
    ends = {process: _size(path) for process, path in paths.items()}
    for process, path in paths.items():
        for line in tail(path, lines):
            typer.echo(prefixes[process] + line)
    if follow:
        with contextlib.suppress(KeyboardInterrupt):
            _follow(paths, ends, prefixes)


def _follow(paths: dict[str, Path], ends: dict[str, int], prefixes: dict[str, str]) -> None:
    while True:
        time.sleep(POLL_SECONDS)
        for process, path in paths.items():
            size = _size(path)
            if size < ends[process]:  # it was cut at its limit
                ends[process] = 0
            if size > ends[process]:
                with path.open("rb") as file:
                    file.seek(ends[process])
                    whole_lines, newline, _ = file.read(size - ends[process]).rpartition(b"\n")
                ends[process] += len(whole_lines + newline)
                for line in whole_lines.decode("utf-8", "replace").splitlines():
                    typer.echo(prefixes[process] + line)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
