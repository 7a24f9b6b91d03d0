"""The `sluice` command, put together from the entry points `sluice.commands` of every installed package.

An entry point is a `typer.Typer`: with a name it becomes a group (`sluice keys …`), without one its commands stand at the
top (`sluice up`). Modules behind entry points import what is heavy inside their functions, so that `sluice --help` is quick.
"""

import importlib.metadata
import os
import sys
from typing import Annotated

import click
import typer

from sluice.errors import SluiceError
from sluice.offline import switch_off


def build() -> typer.Typer:
    """The command line with every package's commands."""
    app = typer.Typer(
        name="sluice",
        help="An LLM and agent platform with the machine learning around it. Start with `sluice up`.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for entry in sorted(importlib.metadata.entry_points(group="sluice.commands"), key=lambda entry: entry.name):
        app.add_typer(entry.load())
    return app


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(importlib.metadata.version("sluice"))
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; also after a command, or SLUICE_DEBUG=1.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line: an error is one line that names the fix, with a traceback only on `--debug`."""
    switch_off()
    debug = "--debug" in sys.argv or os.environ.get("SLUICE_DEBUG", "") not in ("", "0")
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        outcome = build()(arguments, standalone_mode=False)
        sys.exit(outcome if isinstance(outcome, int) else 0)
    except click.ClickException as error:
        error.show()  # a usage error prints the usage and what was wrong, or just the help
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except SluiceError as error:
        if debug:
            raise
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        sys.stderr.write(f"Error: {type(error).__name__}: {error} Run it again with --debug to see where.\n")
        sys.exit(1)
