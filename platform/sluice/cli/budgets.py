"""`sluice budgets`: amounts of tokens or money over a window, for any scope."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from sluice.cli.administration import JsonOption, ScopeArgument, check_scope, open_database, user
from sluice.errors import InvalidRequest

if TYPE_CHECKING:
    from sluice.identity import Budget

budgets = typer.Typer(name="budgets", help="Tokens or money over a window, for any scope.", no_args_is_help=True)


@budgets.command(name="set")
def set_(
    scope: ScopeArgument,
    per: Annotated[str, typer.Option(help="The window: minute, hour, day, month (UTC), ever.")],
    tokens: Annotated[int | None, typer.Option(help="Prompts and answers together.")] = None,
    money: Annotated[str | None, typer.Option(help="In the currency of the prices, such as 25.50.")] = None,
    soft: Annotated[
        bool, typer.Option("--soft", help="Only warn beyond it; without this nothing is let through.")
    ] = False,
) -> None:
    """Give a scope a budget, or change the one that it has for this window and unit.

    \b
    sluice budgets set organisation:acme --money 250 --per month
    sluice budgets set team:search --tokens 1000000 --per day --soft
    sluice budgets set key:8oas60kxefu6 --tokens 10000 --per day
    sluice budgets set model:smollm2 --tokens 500000 --per hour
    """
    if (tokens is None) == (money is None):
        raise InvalidRequest(
            "A budget is in tokens or in money.",
            fix="Write for instance: --tokens 10000 --per day, or --money 25.50 --per month",
        )
    engine = open_database()
    check_scope(engine, scope)
    from sluice.identity import set_budget
    from sluice.identity.money import read_money

    unit, amount = ("tokens", tokens or 0) if money is None else ("money", read_money(money))
    budget = set_budget(engine, scope, amount, per, unit, hard=not soft, by=user())
    typer.echo(f"{budget.id}: {budget}{'' if budget.hard else ', soft'}")


@budgets.command(name="list")
def list_(
    scope: Annotated[str | None, typer.Argument(help="Only this scope's.")] = None, as_json: JsonOption = False
) -> None:
    """List budgets; `sluice spent` says what is gone of them."""
    engine = open_database()
    from sluice.cli.table import print_table
    from sluice.identity import list_budgets

    found = [one for of, those in list_budgets(engine).items() if scope in (None, of) for one in those]
    if as_json:
        typer.echo(json.dumps([{"id": one.id, "scope": one.scope, **as_plain(one)} for one in found], indent=2))
    elif found:
        print_table(("budget", "amount", "kind"), [(one.id, str(one), "hard" if one.hard else "soft") for one in found])
    else:
        typer.echo("There are none. Set one: sluice budgets set team:search --tokens 1000000 --per day")


@budgets.command()
def remove(budget: Annotated[str, typer.Argument(help="Its id, such as team:search/tokens/day.")]) -> None:
    """Take a budget away."""
    engine = open_database()
    from sluice.identity import remove_budget

    remove_budget(engine, budget, by=user())
    typer.echo(f"{budget} is removed.")


def as_plain(budget: "Budget") -> dict[str, object]:
    """What a budget says, as JSON: its amount stands under its unit."""
    from sluice.identity.money import DIGITS, show_money

    amount = budget.amount if budget.unit == "tokens" else show_money(budget.amount, DIGITS)
    return {budget.unit: amount, "window": budget.window, "hard": budget.hard}
