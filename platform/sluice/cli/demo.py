"""`sluice demo`: the journeys, each a short piece of real work on the running platform."""

from typing import Annotated

import typer

app = typer.Typer()

ORDER = ("ask", "prompt", "guard", "budget", "churn", "analyst", "trace")
"""As a newcomer would take them; the last one follows ids that the others made."""


@app.command()
def demo(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(ORDER)}, or all.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcomes as JSON at the end.")] = False,
) -> None:
    """Walk through one journey on the running platform, or through all seven. Run it again as often as you like."""
    from sluice.cli.demo_run import run_demos

    run_demos(name, as_json=as_json)
