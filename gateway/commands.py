"""`sluice usage`: what was used, by key, model and day."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def usage(
    by: Annotated[str, typer.Option(help="What each row of the table is about: key, scope, model or day.")] = "key",
    since: Annotated[str, typer.Option(help="30d, 12h, 15m, or a date such as 2026-11-01 (UTC).")] = "7d",
    key: Annotated[str | None, typer.Option(help="Only this key: its id, or the whole key.")] = None,
    under: Annotated[str | None, typer.Option(help="Only keys under this scope, such as team:search.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what was used: requests, tokens and errors by key, scope, model or day, with bars of their tokens, and of each day's.

    Charged tokens are what budgets count: those used, and for an answer that broke off what it can have cost at most.
    """
    import json
    from datetime import UTC, datetime

    from rich.console import Console

    from gateway.usage.report import parse_since, report
    from gateway.usage.report_view import print_report
    from sluice.database import connect
    from sluice.settings_files import load_settings

    begin = parse_since(since, datetime.now(UTC))
    engine = connect(load_settings().database_url)
    found = report(engine, by=by, since=begin, key=key, under=under)
    if as_json:
        typer.echo(json.dumps(found.as_plain(), indent=2))
    else:
        print_report(found, Console())


@app.command()
def spent(
    scope: Annotated[str | None, typer.Argument(help="Only this scope's budgets, such as team:search.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is gone and what is left of each budget, and when it begins anew, from the usage records.

    Calls under way are not in it.
    """
    import json
    import time

    from gateway.usage.spent_view import budget_states, print_states
    from sluice.database import connect
    from sluice.settings_files import load_settings

    states = budget_states(connect(load_settings().database_url), scope, time.time())
    if as_json:
        typer.echo(json.dumps([state.as_plain() for state in states], indent=2))
    elif states:
        print_states(states)
    else:
        typer.echo("There are none. Set one: sluice budgets set team:search --tokens 1000000 --per day")
