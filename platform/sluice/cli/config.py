"""`sluice config`: the settings, checked and shown."""

import importlib.metadata
import json
from typing import Annotated

import typer

config = typer.Typer(name="config", help="Check the settings, and show what is in force.", no_args_is_help=True)


@config.command()
def check(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Find all that is wrong with the settings, starting nothing; exit code 2 if anything is."""
    from sluice.settings_checks import find_warnings
    from sluice.settings_files import read_settings

    reading = read_settings()
    faults = [str(fault) for fault in reading.faults]
    warnings: list[str] = []
    if reading.settings:
        warnings += find_warnings(reading.settings)
        for entry in importlib.metadata.entry_points(group="sluice.checks"):
            faults += entry.load()(reading.settings)
    if as_json:
        typer.echo(json.dumps({"faults": faults, "warnings": warnings}, indent=2, ensure_ascii=False))
    else:
        for line in [*faults, *(f"Warning: {warning}" for warning in warnings)]:
            typer.echo(line)
        if (settings := reading.settings) and not faults:
            counts = {
                "file": len(reading.files),
                "model": len(settings.models),
                "route": len(settings.routes),
                "service": len(settings.services),
                "policy": len(settings.guardrails.policies),
            }
            typer.echo(f"{', '.join(_counted(count, what) for what, count in counts.items())}: nothing is wrong.")
    if faults:
        raise typer.Exit(2)


@config.command()
def show(
    origin: Annotated[
        bool, typer.Option("--origin", help="One setting a line, with the file and line or the variable it is from.")
    ] = False,
) -> None:
    """Print the settings in force as YAML, defaults included and passwords hidden."""
    from sluice.cli.config_view import as_lines, as_yaml
    from sluice.settings_files import read_settings

    reading = read_settings()
    if reading.settings is None:
        raise reading.faults[0]
    typer.echo("\n".join(as_lines(reading.settings, reading.origins)) if origin else as_yaml(reading.settings))


def _counted(count: int, what: str) -> str:
    plural = what.removesuffix("y") + "ies" if what.endswith("y") else f"{what}s"
    return f"{count} {what if count == 1 else plural}"
