"""`sluice limits`: requests and tokens a minute, and requests at once, for any scope."""

import json
from typing import Annotated

import typer

from sluice.cli.administration import JsonOption, ScopeArgument, check_scope, open_database, user
from sluice.errors import InvalidRequest

limits = typer.Typer(
    name="limits", help="Requests and tokens a minute, and requests at once, for any scope.", no_args_is_help=True
)


@limits.command(name="set")
def set_(
    scope: ScopeArgument,
    requests: Annotated[int | None, typer.Option(help="A minute.")] = None,
    tokens: Annotated[int | None, typer.Option(help="A minute, prompts and answers together.")] = None,
    concurrent: Annotated[int | None, typer.Option(help="Requests at once.")] = None,
) -> None:
    """Give a scope limits, or change those that it has.

    \b
    sluice limits set team:search --requests 600 --tokens 200000
    sluice limits set user:ada --concurrent 4
    """
    wanted = {"requests": requests, "tokens": tokens, "concurrent": concurrent}
    if all(amount is None for amount in wanted.values()):
        raise InvalidRequest("Nothing is limited by this.", fix="Write for instance: --requests 600 --concurrent 4")
    engine = open_database()
    check_scope(engine, scope)
    from sluice.identity import set_limit

    for what, amount in wanted.items():
        if amount is not None:
            limit = set_limit(engine, scope, what, amount, by=user())
            typer.echo(f"{limit.id}: {limit}")


@limits.command(name="list")
def list_(
    scope: Annotated[str | None, typer.Argument(help="Only this scope's.")] = None, as_json: JsonOption = False
) -> None:
    """List limits."""
    engine = open_database()
    from sluice.cli.table import print_table
    from sluice.identity import list_limits

    found = [one for of, those in list_limits(engine).items() if scope in (None, of) for one in those]
    if as_json:
        rows = [{"id": one.id, "scope": one.scope, "what": one.what, "amount": one.amount} for one in found]
        typer.echo(json.dumps(rows, indent=2))
    elif found:
        print_table(("limit", "amount"), [(one.id, str(one)) for one in found])
    else:
        typer.echo("There are none. Set one: sluice limits set team:search --requests 600")


@limits.command()
def remove(limit: Annotated[str, typer.Argument(help="Its id, such as team:search/requests.")]) -> None:
    """Take a limit away."""
    engine = open_database()
    from sluice.identity import remove_limit

    remove_limit(engine, limit, by=user())
    typer.echo(f"{limit} is removed.")
