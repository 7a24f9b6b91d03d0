"""`sluice keys`: making, listing and revoking API keys."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluice.cli.administration import open_database, user
from sluice.cli.budgets import as_plain
from sluice.errors import InvalidRequest

if TYPE_CHECKING:
    from sluice.identity import ApiKey, Budget

keys = typer.Typer(name="keys", help="Make, list and revoke API keys.", no_args_is_help=True)


@keys.command()
def create(
    owner: Annotated[str, typer.Option(help="Who answers for the key's use.")],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    model: Annotated[list[str] | None, typer.Option(help="A model it may use; repeat for more. Default: all.")] = None,
    expires: Annotated[str | None, typer.Option(help="30d, 12h, 15m, or a date such as 2027-01-31 (UTC).")] = None,
    scope: Annotated[
        str | None, typer.Option(help="What it stands under, for good: organisation:acme, team:search, user:ada.")
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(help="What it may do under /admin: viewer, developer, operator, admin. Default: nothing."),
    ] = None,
    budget: Annotated[int | None, typer.Option(help="Tokens it may use, prompts and answers together.")] = None,
    money: Annotated[
        str | None, typer.Option(help="Money it may use, in the currency of the prices, such as 25.50.")
    ] = None,
    per: Annotated[str | None, typer.Option(help="The budget's window: minute, hour, day, month (UTC), ever.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="The guardrail policy it is under. Default: guardrails.default.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the key and nothing else.")] = False,
) -> None:
    """Make a key and show it, once.

    \b
    sluice keys create --owner ada --name "search app" --model smollm2 --expires 90d
    sluice keys create --owner ada --scope team:search --budget 10000 --per day
    sluice keys create --owner ada --money 25.50 --per month --policy strict
    sluice keys create --owner ops --role operator --scope organisation:acme
    """
    expires_at = parse_expiry(expires, datetime.now(UTC)) if expires else None
    budgets, in_money = _read_budget(budget, money, per)
    if policy is not None:
        _refuse_unknown(policy)
    engine = open_database()
    from sluice.identity import create_key

    _warn_of_unknown(model or [])
    key, text = create_key(
        engine,
        owner=owner,
        name=name,
        models=model or None,
        expires_at=expires_at,
        policy=policy,
        budgets=budgets,
        money=in_money,
        scope=scope,
        role=role,
        by=user(),
    )
    typer.echo(text)
    if not quiet:
        typer.echo(
            f"Keep it: it is not shown again. Its id is {key.id}; 'sluice keys revoke {key.id}' ends it.", err=True
        )


@keys.command(name="list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List all keys, the ended ones too."""
    engine = open_database()
    from sluice.identity import list_budgets, list_keys

    now = datetime.now(UTC)
    budgets = list_budgets(engine)
    rows = [_row(key, budgets.get(f"key:{key.id}", ()), now) for key in list_keys(engine)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_table(rows)


@keys.command()
def revoke(key: Annotated[str, typer.Argument(help="The key's id, or the whole key.")]) -> None:
    """End a key; every gateway process refuses it within a second."""
    engine = open_database()
    from sluice.identity import revoke_key

    typer.echo(f"Key {revoke_key(engine, key, by=user()).id} is revoked.")


def parse_expiry(text: str, now: datetime) -> datetime:
    """The moment meant by `30d`, `12h`, `15m` from now, or by an ISO date or time, read as UTC without a zone.

    Raises:
        InvalidRequest: the text is none of these, or lies beyond what a date can say.
    """
    try:
        if span := re.fullmatch(r"(\d+)([dhm])", text):
            unit = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}[span[2]]
            return now + int(span[1]) * unit
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        fix = "Write 30d, 12h, 15m, or a date such as 2027-01-31."
        raise InvalidRequest(f"'{text}' is no time at which a key can expire.", fix=fix) from None


def _read_budget(tokens: int | None, money: str | None, window: str | None) -> tuple[dict[str, int], dict[str, int]]:
    """Tokens, and billionths of the currency, by window.

    Raises:
        InvalidRequest: an amount without a window, or the other way round; money that is none.
    """
    if tokens is None and money is None and window is None:
        return {}, {}
    if window is None or (tokens is None and money is None):
        raise InvalidRequest(
            "A budget needs its tokens or its money, and its window.",
            fix="Write for instance: --budget 10000 --per day",
        )
    from sluice.identity.money import read_money

    return {} if tokens is None else {window: tokens}, {} if money is None else {window: read_money(money)}


def _warn_of_unknown(models: list[str]) -> None:
    from sluice.settings_files import load_settings

    settings = load_settings()
    known = [*settings.models, *settings.routes]
    for name in models:
        if name not in known:
            typer.echo(f"Note: there is no model '{name}' now; there are {', '.join(known) or 'none'}.", err=True)


def _refuse_unknown(policy: str) -> None:
    from sluice.guardrails import unknown_policy
    from sluice.settings_files import load_settings

    settings = load_settings()
    if policy not in settings.guardrails.policies:
        raise unknown_policy(settings, policy)


def _row(key: "ApiKey", budgets: "tuple[Budget, ...]", now: datetime) -> dict[str, Any]:
    expired = key.expires_at is not None and key.expires_at <= now
    return {
        "id": key.id,
        "owner": key.owner,
        "name": key.name,
        "scope": key.scope,
        "role": key.role,
        "models": key.models,
        "budgets": [as_plain(budget) for budget in budgets],
        "policy": key.policy,
        "created": key.created_at.isoformat(timespec="seconds"),
        "expires": key.expires_at and key.expires_at.isoformat(timespec="seconds"),
        "state": "revoked" if key.revoked_at else "expired" if expired else "active",
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = ("of", "under", "role", "models", "budgets", "policy", "expires", "state")
    folded = [Column(name, overflow="fold") for name in columns]
    table = Table(Column("id", no_wrap=True), *folded, box=None, pad_edge=False, collapse_padding=True)
    for row in rows:
        cells = [
            row["id"],
            f"{row['owner']}: {row['name']}" if row["name"] else row["owner"],
            row["scope"] or "",
            row["role"] or "",
            "all" if row["models"] is None else ", ".join(row["models"]),
            ", ".join(map(_budget, row["budgets"])),
            row["policy"] or "default",
            row["expires"][:16] if row["expires"] else "never",
            row["state"],
        ]
        table.add_row(*map(Text, cells))
    Console().print(table)


def _budget(budget: dict[str, Any]) -> str:
    amount = f"{budget['tokens']:,}" if "tokens" in budget else f"{budget['money']} of money"
    return f"{amount}/{budget['window']}{'' if budget['hard'] else ' (soft)'}"
