"""Tables for the terminal, the same for every package's commands."""

import os
from collections.abc import Iterable, Sequence

PIPED_WIDTH = 10_000
"""Columns where no terminal sets an end to a line: what is piped on has each id whole."""


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their headings. In a narrow terminal a cell goes on below: nothing of it is left out."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(name, overflow="fold") for name in columns), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPED_WIDTH
    console.print(table)
