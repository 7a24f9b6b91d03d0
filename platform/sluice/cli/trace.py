"""`sluice trace`: from anything that happened to everything it was made from."""

from typing import Annotated

import typer

app = typer.Typer()

IdArgument = Annotated[str, typer.Argument(help="A request's id, a prediction's, a version's: whatever was printed.")]


@app.command()
def trace(
    id: IdArgument,  # noqa: A002, the argument's name in the help
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what an answer, a prediction or a promotion was made from, back to files and commits."""
    import json

    from rich.console import Console

    from sluice import lineage
    from sluice.cli.lineage_view import as_plain, as_tree
    from sluice.database import connect
    from sluice.settings_files import load_settings

    engine = connect(load_settings().database_url)
    tree = lineage.trace(engine, lineage.find(engine, id))
    if as_json:
        typer.echo(json.dumps(as_plain(tree), indent=2))
    else:
        Console(highlight=False).print(as_tree(tree))
