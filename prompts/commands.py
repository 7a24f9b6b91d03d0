"""`sluice prompts`: versions of prompts and their labels."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluice.cli.table import print_table

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from sluice.settings import Settings

prompts = typer.Typer(name="prompts", help="Versioned prompts and their labels.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The prompt: its file's name without .yaml.")]
VersionArgument = Annotated[str, typer.Argument(help="A version's hash (7 digits are enough), or a label.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@prompts.command(name="list")
def list_(as_json: JsonOption = False) -> None:
    """List the prompts that requests can name."""
    engine, _ = _open_database()
    from prompts.history import overview

    _print(overview(engine), as_json)


@prompts.command()
def show(name: NameArgument, version: VersionArgument = "production", as_json: JsonOption = False) -> None:
    """Print one version as it stands in its file."""
    engine, _ = _open_database()
    from prompts.registry import find_row

    row = find_row(engine, name, version)
    if as_json:
        typer.echo(json.dumps(row.model_dump(mode="json"), indent=2))
    else:
        typer.echo(f"# {name}@{row.version}, by {row.author}, commit {row.commit or 'none yet'}", err=True)
        typer.echo(row.content, nl=False)


@prompts.command()
def sync(
    folder: Annotated[Path, typer.Argument(help="A folder of prompts, one YAML file each.")] = Path("prompts/library"),
) -> None:
    """Register each prompt of a folder as it is there now: all of them, or none where one is wrong.

    Requests can then name the version by its hash. What they get by a label changes with `sluice prompts label` only.
    """
    engine, settings = _open_database()
    from prompts.sync import sync_folder

    for prompt, commit in sync_folder(engine, folder, settings):
        typer.echo(f"{prompt.reference}  {f'commit {commit.hash[:12]}' if commit else 'not committed'}")


@prompts.command()
def label(
    name: NameArgument,
    version: VersionArgument,
    label: Annotated[str, typer.Argument(help="The label to move, such as production.")],
) -> None:
    """Move a label to a version, in the name of your key's owner.

    A guarded label (`promotion.guarded`: production) moves only to a version that passed its gate against the version
    that the label is on: `sluice eval pr`, or for the first one `sluice eval run --record`.
    """
    engine, settings = _open_database()
    from prompts.registry import check_label, find_version
    from sluice.gateway_client import gateway_access
    from sluice.identity import identify
    from sluice.promotion import Candidate, promote

    check_label(label)
    owner = identify(engine, gateway_access(settings)[1]).owner
    candidate = Candidate("prompt", name, find_version(engine, name, version).version)
    moved = promote(engine, candidate, label, by=owner, settings=settings.promotion)
    typer.echo(f"'{label}' of prompt '{name}' is on {candidate.version} ({moved.promotion_id}).")


@prompts.command()
def history(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show a prompt's versions, the verdicts on them and every move of a label, oldest first."""
    engine, _ = _open_database()
    from prompts.history import events

    _print(events(engine, name), as_json)


def _open_database() -> "tuple[Engine, Settings]":
    from sluice.database import connect, migrate
    from sluice.settings_files import load_settings

    settings = load_settings()
    migrate(settings.database_url)
    return connect(settings.database_url), settings


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if rows:
        print_table(list(rows[0]), [[str(value) for value in row.values()] for row in rows])
    else:
        typer.echo("There are no prompts yet. Register some: sluice prompts sync")
