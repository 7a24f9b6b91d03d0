"""`sluice status`."""

import json
import time
from typing import Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sluice.processes.groups import memory_bytes
from sluice.processes.state import Phase, ProcessState, read_state, supervisor_pid
from sluice.settings_files import load_settings

STYLES = {Phase.READY: "green", Phase.STARTING: "yellow", Phase.BACKOFF: "yellow", Phase.FAILED: "red"}


def print_status(as_json: bool) -> bool:
    """Print the table or the JSON; whether everything runs and is ready."""
    settings = load_settings()
    home = settings.home
    pid = supervisor_pid(home)
    state = read_state(home)
    rows = [_row(process) for process in state.processes.values()] if pid else []
    idle = {name: service.about for name, service in settings.services.items() if name not in state.processes}
    if as_json:
        found = {"running": pid is not None, "supervisor": pid, "processes": rows, "on_demand": list(idle)}
        typer.echo(json.dumps(found, indent=2))
    elif pid is None:
        typer.echo("Nothing is running. To start: sluice up")
    else:
        _print_table(rows)
        for name, about in idle.items():
            typer.echo(f"{name}: not started, comes when first asked for ({about})")
        if state.error:
            typer.echo(f"Settings not taken: {state.error}")
    return bool(rows) and all(row["state"] == Phase.READY for row in rows)


def _row(process: ProcessState) -> dict[str, Any]:
    return {
        "name": process.name,
        "state": process.phase,
        "pid": process.pid,
        "url": process.url.rsplit("/health", 1)[0].removesuffix("/liveness"),
        "uptime_seconds": round(time.time() - process.started_at) if process.pid and process.started_at else None,
        "restarts": process.restarts,
        "memory_bytes": memory_bytes(process.pid) if process.pid else 0,
        "error": process.error,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    table = Table("process", "state", "pid", "port", "up", "restarts", "memory", "last error", box=None, pad_edge=False)
    for row in rows:
        error = row["error"].splitlines()[0].removesuffix(" Its log ends with:") if row["error"] else ""
        up = _duration(row["uptime_seconds"]) if row["uptime_seconds"] is not None else ""
        memory = f"{row['memory_bytes'] / 2**20:.0f} MiB" if row["memory_bytes"] else ""
        port = urlsplit(str(row["url"])).port
        cells: list[object] = [row["pid"] or "", port, up, row["restarts"], memory, error]
        table.add_row(
            row["name"], Text(row["state"], STYLES.get(row["state"], "")), *(Text(str(cell)) for cell in cells)
        )
    Console().print(table)


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
