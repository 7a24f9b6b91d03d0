"""What every benchmark reports in the same way: figures with what they must reach, as tables and as JSON."""

import json
import operator
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

COMPARISONS = {"<": operator.lt, "≤": operator.le, "=": operator.eq, "≥": operator.ge}


@dataclass(frozen=True)
class Row:
    """One figure and what it must reach (`must` is empty where that is nothing, and then `holds` is None). `figure` and
    `holds` are None where nothing was measured."""

    what: str
    figure: float | None
    unit: str
    must: str
    holds: bool | None


def row(what: str, figure: float | None, unit: str, comparison: Literal["<", "≤", "=", "≥"], limit: float) -> Row:
    """A figure held against its limit, such as `row("CPU, Sluice ÷ Envoy", 1.12, "×", "≤", 1.3)`."""
    holds = None if figure is None else COMPARISONS[comparison](figure, limit)
    return Row(what, figure, unit, f"{comparison} {limit:g}", holds)


def write(path: Path, rows: Sequence[Row], measured: dict[str, Any]) -> None:
    """Write the rows as a JSON list, and beside it (`-measured`) all that was measured, when and on what machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    _dump(path, [asdict(row) for row in rows])
    _dump(path.with_stem(f"{path.stem}-measured"), {"time": time, "machine": machine(), "measured": measured})


def _dump(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def show(console: Console, rows: Sequence[Row]) -> None:
    """Print the rows, each with its verdict."""
    table = Table(title="Must reach", title_justify="left")
    for name, justify in (("", "left"), ("measured", "right"), ("must", "left"), ("holds", "left")):
        table.add_column(name, justify=justify)
    verdicts = {True: "[green]yes[/]", False: "[bold red]no[/]", None: "[dim]not measured[/]"}
    for item in rows:
        figure = "–" if item.figure is None else f"{item.figure:,.4g} {item.unit}".rstrip()
        verdict = "" if item.figure is not None and not item.must else verdicts[item.holds]
        table.add_row(item.what, figure, item.must, verdict)
    console.print(table)


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())
    return {"processor": processor, "cores": os.cpu_count(), "python": platform.python_version()}
