"""`sluice requests`: what requests said, where a guardrail policy keeps it."""

from typing import Annotated

import typer

requests = typer.Typer(name="requests", help="What requests said, where a policy keeps it.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(help="A request's id, as in the answer's header x-request-id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@requests.command()
def show(
    id: IdArgument,  # noqa: A002, the argument's name in the help
    as_json: JsonOption = False,
) -> None:
    """Show a kept request and its answer, after their policy's redaction."""
    import json

    from rich.console import Console

    from gateway.kept.replay import find_kept
    from gateway.kept.view import as_plain, print_kept
    from sluice.database import connect
    from sluice.settings_files import load_settings

    kept = find_kept(connect(load_settings().database_url), id)
    if as_json:
        typer.echo(json.dumps(as_plain(kept), indent=2, ensure_ascii=False))
    else:
        print_kept(kept, Console(highlight=False))


@requests.command()
def replay(
    id: IdArgument,  # noqa: A002, the argument's name in the help
    as_json: JsonOption = False,
) -> None:
    """Send a kept request again, with this machine's key, and show both answers side by side.

    Its messages, parameters and seed are those of then, a stored prompt's version too; the model is the one that has the
    name now, and what is known of a change is said.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console

    from gateway.kept.replay import find_kept
    from gateway.kept.replay import replay as send_again
    from gateway.kept.view import print_replay
    from sluice.database import connect
    from sluice.settings_files import load_settings

    settings = load_settings()
    engine = connect(settings.database_url)
    done = send_again(settings, engine, find_kept(engine, id))
    if as_json:
        typer.echo(json.dumps(asdict(done), indent=2, ensure_ascii=False))
    else:
        print_replay(done, Console(highlight=False))
