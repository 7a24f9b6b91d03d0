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
            if value:
                shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                console.print(Text(f"       {name}: {shown}", "dim"), soft_wrap=True)


@audit.command()
def verify() -> None:
    """Check the chain of hashes; exit code 1 if an entry was changed or removed."""
    from sluice.audit import broken_links, entries
    from sluice.database import connect
    from sluice.settings_files import load_settings

    engine = connect(load_settings().database_url)
    if broken := list(broken_links(engine)):
        typer.echo(f"The chain is broken at entry {broken[0]}: it, or the one before it, was changed or removed.")
        raise typer.Exit(1)
    typer.echo(f"The chain of {len(entries(engine))} entries is whole.")
