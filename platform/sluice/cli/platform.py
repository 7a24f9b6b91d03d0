"""`sluice up`, `down`, `status` and `logs`: the platform's processes on this machine."""

from typing import Annotated

import typer

platform = typer.Typer()

LinesOption = Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines of each to begin with.")]


@platform.command()
def up() -> None:
    """Fetch the models, start what is not running, and show how to use it."""
    from sluice.cli.bring_up import bring_up

    bring_up()


@platform.command()
def down() -> None:
    """Stop everything: the gateway first, which lets open answers finish, then the models."""
    from sluice.cli.take_down import take_down

    take_down()


@platform.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the processes; exit code 3 unless all are ready."""
    from sluice.cli.report import print_status

    if not print_status(as_json):
        raise typer.Exit(3)


@platform.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="A process or a model; default: all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: LinesOption = 20,
) -> None:
    """Show what the processes log."""
    from sluice.cli.log_view import show_logs

    show_logs(name, follow, lines)
