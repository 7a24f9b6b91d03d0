"""`sluice doctor`: what is missing on this machine, and the command that mends it."""

import typer

doctor = typer.Typer()


@doctor.command(name="doctor")
def doctor_() -> None:
    """Check this machine and this deployment; exit code 1 if something is missing."""
    from sluice.cli.checks import run_checks

    healthy = True
    for check in run_checks():
        healthy = healthy and check.passed
        typer.echo(f"{'✓' if check.passed else '✗'} {check.what}" + ("" if check.passed else f"\n    {check.fix}"))
    if not healthy:
        raise typer.Exit(1)
