"""Fetching models with a progress bar."""

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sluice.home import Home
from sluice.models.sources import fetch, find_fetched
from sluice.settings import ModelSettings, Settings


def pull_models(settings: Settings, home: Home, names: list[str], console: Console) -> dict[str, Path]:
    """The folders of the models `names`, fetched where they must be; those that others serve have none.

    Raises:
        MissingRequirement: a model is not to be had.
    """
    python = settings.platform.engine_python.absolute()
    chosen = {name: settings.models[name] for name in names}
    return {
        name: _pull(name, model, home, python, console)
        for name, model in chosen.items()
        if not model.router.is_elsewhere
    }


def _pull(name: str, model: ModelSettings, home: Home, engine_python: Path, console: Console) -> Path:
    if ready := find_fetched(name, model, home):
        return ready
    started = time.monotonic()
    if console.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.fields[name]}"),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
            task = progress.add_task("fetching", name=name, total=None)

            def show(what: str, fraction: float | None) -> None:
                total = None if fraction is None else 1.0
                progress.update(task, description=what, total=total, completed=fraction or 0)

            folder = fetch(name, model, home, engine_python, show)
    else:
        folder = fetch(name, model, home, engine_python, lambda what, _: console.print(f"{name}: {what}", markup=False))
    console.print(f"{name}: fetched in {time.monotonic() - started:.0f} s", markup=False)
    return folder
