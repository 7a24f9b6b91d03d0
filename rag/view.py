"""What `sluice rag` and its demo show."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from rag.index.build import Built
from rag.loading import Progress as Report

SNIPPET = 160


@contextmanager
def indexing_progress() -> Generator[Report]:
    """Bars on standard error, one for each thing that takes time."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield report


def built_as_plain(built: Built) -> dict[str, Any]:
    """The outcome of indexing, as JSON."""
    version = built.version
    return {
        "index": version.name,
        "version": version.version,
        "id": version.id,
        "new": built.new,
        "documents": len(version.documents),
        "chunks": version.chunks,
        "skipped": [asdict(skipped) for skipped in built.skipped],
    }


def show_built(built: Built) -> None:
    """The outcome of indexing, and each file that was skipped, with the reason."""
    version = built.version
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for skipped in built.skipped:
        errors.print(f"[yellow]Skipped:[/yellow] {escape(skipped.path)} {escape(skipped.why)}.")
    change = "" if built.new else " (as before: nothing has changed)"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{len(version.documents)} documents in {version.chunks} chunks: {version.id}{change}", markup=False)


def show_hits(hits: list[dict[str, Any]], console: Console | None = None) -> None:
    """Rank, score, place and beginning of each passage."""
    table = Table("", "score", "relevance", "passage", box=None, pad_edge=False)
    for rank, hit in enumerate(hits, 1):
        passage = Text(place(hit), "cyan").append(f"\n{snippet(hit['text'])}", "default")
        table.add_row(str(rank), f"{hit['score']:.2f}", f"{hit['relevance']:.2f}", passage)
    (console or Console()).print(table)


def show_answer(given: dict[str, Any], console: Console | None = None) -> None:
    """The answer, what each number in it stands for, and its id."""
    console = console or Console(highlight=False)
    console.print(Text(given["text"]))
    for citation in given["citations"]:
        line = Text(f"  [{citation['number']}] ").append(place(citation), "cyan")
        console.print(line.append(f"  {snippet(citation['text'])}", "dim"))
    console.print(Text(f"  {given['id']}", "dim"))


def place(passage: dict[str, Any]) -> str:
    """File and characters: `locks.md:120-480`."""
    return f"{passage['path']}:{passage['start']}-{passage['end']}"


def snippet(text: str) -> str:
    """The beginning, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= SNIPPET else f"{line[:SNIPPET]}…"
