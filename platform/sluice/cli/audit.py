"""`sluice audit`: the audit log."""

import json
from typing import Annotated

import typer

audit = typer.Typer(name="audit", help="Who did what to what.", no_args_is_help=True)


@audit.command("list")
def list_entries(
    subject: Annotated[str | None, typer.Argument(help="What it was done to, such as prompt:answer@3f2a…")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the entries, oldest first."""
    from rich.console import Console
    from rich.text import Text

    from sluice.audit import entries
    from sluice.database import connect
    from sluice.settings_files import load_settings

    found = entries(connect(load_settings().database_url), subject)
    if as_json:
        typer.echo(json.dumps([entry.model_dump(mode="json") for entry in found], indent=2))
        return
    console = Console(highlight=False)
    for entry in found:
        console.print(
            Text(f"{entry.number:>5}  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.actor}  ").append(entry.action, "bold")
        )
        console.print(Text(f"       {entry.subject}"), soft_wrap=True)  # an id stays whole, to be pasted
        for name, value in entry.detail.items():
            if value is not None and value != []:
                shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                console.print(Text(f"       {name}: {shown}", "dim"), soft_wrap=True)


@audit.command()
def verify(
    head: Annotated[
        str | None, typer.Option(help="A head that was printed once and kept outside of the database: <number>:<hash>.")
    ] = None,
) -> None:
    """Check the chain of hashes; exit code 1 if an entry was changed, removed or put elsewhere.

    It prints the newest entry as the log's head. Keep it where the database's owner cannot reach, and give it back with
    --head: then a log that was cut off, or written anew from some entry on, is found too.

    \b
    sluice audit verify
    sluice audit verify --head 1204:9f2c…
    """
    from sluice.audit import Head, broken_links
    from sluice.audit import head as newest
    from sluice.database import connect
    from sluice.settings_files import load_settings

    engine = connect(load_settings().database_url)
    pinned = None if head is None else Head.parse(head)
    now = newest(engine)
    if broken := next(broken_links(engine, pinned), None):
        typer.echo(f"The chain is broken at entry {broken}: it, or the one before it, was changed or removed.")
        raise typer.Exit(1)
    typer.echo(f"The chain of {now.number} entries is whole.")
    if now.number:
        typer.echo(f"Its head: {now}")
