"""Running demos one after the other, and the table at their end."""

import importlib.metadata
import json
import time
from dataclasses import asdict

import typer
from rich.console import Console
from rich.rule import Rule
from rich.table import Table

from sluice.cli.demo import ORDER
from sluice.database import connect
from sluice.demo import Demo, Outcome, Stage
from sluice.errors import InvalidRequest
from sluice.settings_files import load_settings


def run_demos(name: str, *, as_json: bool) -> None:
    """Run the demo of that name, or all, and show their outcomes; what they print goes to standard error.

    Raises:
        InvalidRequest: there is no demo of that name.
        SluiceError: whatever stopped a demo; those after it do not run.
    """
    demos = {entry.name: entry for entry in importlib.metadata.entry_points(group="sluice.demos")}
    names = [name for name in ORDER if name in demos] if name == "all" else [name]
    if unknown := [name for name in names if name not in demos]:
        raise InvalidRequest(f"There is no demo '{unknown[0]}'.", fix=f"Take one of: {', '.join(ORDER)}, all.")
    settings = load_settings()
    console = Console(stderr=True, highlight=False)
    stage = Stage(settings, connect(settings.database_url), console)
    outcomes: dict[str, Outcome] = {}
    seconds: dict[str, float] = {}
    for one in names:
        console.print(Rule(f"sluice demo {one}", align="left"))
        play: Demo = demos[one].load()
        began = time.monotonic()
        outcomes[one] = play(stage)
        stage.keep(one, outcomes[one])
        seconds[one] = time.monotonic() - began
        _show(outcomes[one], console)
    stage.engine.dispose()
    if as_json:
        rows = [{"demo": one, "seconds": round(seconds[one], 1), **asdict(outcomes[one])} for one in names]
        typer.echo(json.dumps(rows, indent=2))
    elif len(names) > 1:
        console.print(_table(outcomes, seconds))


def _show(outcome: Outcome, console: Console) -> None:
    console.print(f"\n[bold]{outcome.summary}[/bold]")
    following = [*outcome.next_commands, *([f"sluice trace {outcome.trace_id}"] if outcome.trace_id else [])]
    if following:
        console.print("Try next:")
        for command in following:
            console.print(f"  {command}", markup=False, soft_wrap=True)
    console.print()


def _table(outcomes: dict[str, Outcome], seconds: dict[str, float]) -> Table:
    table = Table("demo", "seconds", "outcome", box=None, pad_edge=False)
    for name, outcome in outcomes.items():
        table.add_row(name, f"{seconds[name]:.1f}", outcome.summary)
    table.add_row("all", f"{sum(seconds.values()):.1f}", "")
    return table
