"""The tables of what was measured."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from gateways.measuring import Measured, median
from rich.table import Table
from rich.text import Text

Columns = dict[str, tuple[str, str]]
"""Heading → the figure's name in a round, and how it is written; the last one is the CPU's."""

PLAIN: Columns = {
    "requests/s": ("requests_per_second", "{:,.0f}"),
    "p50 ms": ("p50_ms", "{:,.2f}"),
    "p99 ms": ("p99_ms", "{:,.2f}"),
    "CPU ms/request": ("cpu_ms", "{:,.3f}"),
}
STREAMS: Columns = {
    "chunks/s": ("chunks_per_second", "{:,.0f}"),
    "streams": ("streams", "{:,.0f}"),
    "p50 ms": ("p50_ms", "{:,.2f}"),
    "p99 ms": ("p99_ms", "{:,.2f}"),
    "CPU µs/chunk": ("cpu_us", "{:,.1f}"),
}


def measured_table(title: str, columns: Columns, measured: Iterable[Measured]) -> Table:
    """One line for each server: the middle of its rounds, or why there is none; behind CPU the rounds' range."""
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in (*columns, "range of CPU", "peak MiB"):
        table.add_column(column, justify="right")
    table.add_column("")
    for row in measured:
        cells = [_cell(median(row, figure), style) for figure, style in columns.values()]
        cpu, style = list(columns.values())[-1]
        spread = "–".join(style.format(end(row.values(cpu))) for end in (min, max)) if row.valid else "–"
        table.add_row(row.title, *cells, spread, _cell(row.peak_mib, "{:,.0f}"), Text(row.problem, style="red"))
    return table


def as_json(measured: dict[str, Measured]) -> list[dict[str, Any]]:
    """All rows with all their rounds."""
    return [{"name": name, **asdict(row), "valid": row.valid} for name, row in measured.items()]


def _cell(value: float | None, style: str) -> str:
    return "–" if value is None else style.format(value)
