"""`sluice scopes`: organisations, teams and users, which keys stand under."""

import json
from typing import Annotated

import typer

from sluice.cli.administration import JsonOption, open_database, user

scopes = typer.Typer(
    name="scopes", help="Organisations, teams and users, which keys stand under.", no_args_is_help=True
)


@scopes.command()
def create(
    kind: Annotated[str, typer.Argument(help="organisation, team or user.")],
    name: Annotated[str, typer.Argument(help="Letters, digits, and . _ @ - after the first.")],
    under: Annotated[
        str | None, typer.Option(help="What it stands under, for good, such as organisation:acme.")
    ] = None,
) -> None:
    """Make an organisation, a team or a user.

    \b
    sluice scopes create organisation acme
    sluice scopes create team search --under organisation:acme
    sluice scopes create user ada --under team:search
    sluice keys create --owner ada --scope user:ada
    """
    engine = open_database()
    from sluice.identity import create_scope

    typer.echo(create_scope(engine, kind, name, parent=under, by=user()).id)


@scopes.command(name="list")
def list_(as_json: JsonOption = False) -> None:
    """List organisations, teams and users, each below what it stands under."""
    engine = open_database()
    from sluice.cli.table import print_table
    from sluice.identity import list_scopes

    found = list_scopes(engine)
    if as_json:
        typer.echo(json.dumps([scope.model_dump(mode="json") for scope in found], indent=2))
    elif not found:
        typer.echo("There are none yet. Make one: sluice scopes create organisation acme")
    else:
        from sluice.identity.scopes import chain

        parents = {scope.id: scope.parent for scope in found}
        places = sorted(chain(scope, parents) for scope in parents)
        made = {scope.id: f"{scope.created_at:%Y-%m-%d}" for scope in found}
        print_table(("scope", "created"), [("  " * (len(place) - 1) + place[-1], made[place[-1]]) for place in places])
