"""`sluice models list`."""

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sluice.home import Home
from sluice.models.engine import Hardware, choose_device, choose_dtype, detect_hardware
from sluice.models.sources import find_fetched, read_record
from sluice.settings import ModelSettings
from sluice.settings_files import load_settings


def print_models(as_json: bool) -> None:
    """Print the table or the JSON."""
    settings = load_settings()
    home = settings.home
    hardware = detect_hardware()
    rows = [_row(name, model, home, hardware) for name, model in settings.models.items()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("model", "kind", "source", "device", "dtype", "port", "fetched", "digest", box=None, pad_edge=False)
    for row in rows:
        cells = [row[key] for key in ("name", "kind", "source", "device", "dtype", "port")]
        digest = (row["digest"] or "").removeprefix("sha256:")[:8]
        table.add_row(*(Text(str(value)) for value in (*cells, "yes" if row["fetched"] else "no", digest)))
    Console().print(table)


def _row(name: str, model: ModelSettings, home: Home, hardware: Hardware) -> dict[str, Any]:
    device, dtype = _runs_on(model, hardware)
    folder = find_fetched(name, model, home)
    record = read_record(name, model, home)
    return {
        "name": name,
        "kind": model.kind,
        "source": str(model.source),
        "device": device,
        "dtype": dtype,
        "replicas": model.replicas,
        "port": model.port,
        "fetched": folder is not None,
        "digest": record.digest if record else None,
        "folder": str(folder) if folder else None,
    }


def _runs_on(model: ModelSettings, hardware: Hardware) -> tuple[str, str]:
    """Device and dtype."""
    if model.router.is_elsewhere:
        return "elsewhere", "unknown"
    if model.kind == "embedding":
        return "cpu", "float32"
    device, _ = choose_device(model, hardware)
    return device, choose_dtype(model, device, hardware.cpu_flags)[0]
