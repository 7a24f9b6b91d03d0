"""`sluice models`: the models that Sluice serves itself."""

from collections.abc import Iterable
from typing import Annotated

import typer

models = typer.Typer(name="models", help="List, fetch and serve models.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Models of the settings; default: all.")]


@models.command(name="list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the models of the settings: source, where they will run and how, and whether they are fetched."""
    from sluice.cli.model_list import print_models

    print_models(as_json)


@models.command()
def pull(names: Names = None) -> None:
    """Fetch models, and convert those that need it."""
    from rich.console import Console

    from sluice.cli.pull import pull_models
    from sluice.settings_files import load_settings

    settings = load_settings()
    home = settings.home
    chosen = [_known(name, settings.models) for name in names or settings.models]
    for name, folder in pull_models(settings, home, chosen, Console(stderr=True, highlight=False)).items():
        typer.echo(f"{name}: {folder}")


@models.command()
def serve(name: Annotated[str, typer.Argument(help="A model of the settings.")]) -> None:
    """Serve one model in the foreground until Ctrl-C, logging to the terminal."""
    from sluice.cli.serve import serve_model
    from sluice.settings_files import load_settings

    settings = load_settings()
    serve_model(_known(name, settings.models), settings)


def _known(name: str, known: Iterable[str]) -> str:
    from sluice.errors import NotFound

    if name not in known:
        raise NotFound(f"There is no model '{name}' in the settings.", fix=f"There are: {', '.join(known) or 'none'}.")
    return name
