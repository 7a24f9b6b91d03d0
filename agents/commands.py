"""`sluice agents`: asking agents, listing tools, and deciding on calls that wait for a person."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluice.cli.table import print_table

if TYPE_CHECKING:
    from sluice.gateway_client import GatewayClient

agents = typer.Typer(name="agents", help="Ask agents, list their tools, approve what waits.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Key = Annotated[str | None, typer.Option(help="Act in the name of this key's owner. Default: your own key.")]
CallArgument = Annotated[str, typer.Argument(help="The call's id, as 'sluice agents pending' shows it.")]


@agents.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")],
    agent: Annotated[str, typer.Option(help="Which agent.")] = "analyst",
    thread: Annotated[str, typer.Option(help="Go on in this thread, or begin one of this name.")] = "",
    as_json: AsJson = False,
) -> None:
    """Ask an agent; its decisions go to standard error, its answer to standard output.

    The same question in the same thread goes on where it stopped: at an approval, or at a crash.
    """
    from agents.asking import ask_streaming

    with _gateway() as gateway:
        told = ask_streaming(gateway, agent, question, thread, show=_show_step)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(told["answer"]))  # whole, since lines break between words only where these are known
    metadata = told["metadata"]
    typer.echo(f"thread {metadata['thread_id']}", err=True)
    if metadata["answer_id"] is not None:  # a call waits: there is no answer yet
        typer.echo(f"Where it comes from: sluice trace {metadata['answer_id']}", err=True)


@agents.command()
def tools(as_json: AsJson = False) -> None:
    """List the tools that agents, apps and MCP clients can call."""
    with _gateway() as gateway:
        found: list[dict[str, Any]] = gateway.get("/tools")["data"]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    rows = [
        (tool["name"], ", ".join(tool["parameters"].get("properties", {})), _yes(tool["approval"]), tool["description"])
        for tool in found
    ]
    print_table(("tool", "arguments", "approval", "what it does"), rows)


@agents.command()
def pending(as_json: AsJson = False) -> None:
    """List the calls that wait for somebody's approval."""
    with _gateway() as gateway:
        found: list[dict[str, Any]] = gateway.get("/tools/calls")["data"]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif not found:
        typer.echo("Nothing waits.")
    else:
        rows = [(call["id"], call["tool"], json.dumps(call["arguments"]), call["caller"]) for call in found]
        print_table(("call", "tool", "arguments", "asked for by"), rows)


@agents.command()
def approve(call: CallArgument, key: Key = None, as_json: AsJson = False) -> None:
    """Say yes to a call that somebody else asked for; it runs at once, and this waits for its end."""
    _decide(call, "approve", key, as_json)


@agents.command()
def deny(call: CallArgument, key: Key = None, as_json: AsJson = False) -> None:
    """Say no to a call that somebody else asked for; it never runs."""
    _decide(call, "deny", key, as_json)


def _decide(call: str, decision: str, key: str | None, as_json: bool) -> None:
    from urllib.parse import quote

    with _gateway(key) as gateway:
        decided, _ = gateway.post(f"/tools/calls/{quote(call, safe='')}/{decision}", {})
    if as_json:
        typer.echo(json.dumps(decided, indent=2))
        return
    typer.echo(f"{decided['id']} of {decided['tool']}, asked for by {decided['caller']}: {decided['state']}.")
    if decided["result"]:
        typer.echo(json.dumps(decided["result"]))


def _gateway(key: str | None = None) -> "GatewayClient":
    from sluice.gateway_client import GatewayClient, gateway_access
    from sluice.processes.plan import gateway_url
    from sluice.settings_files import load_settings

    settings = load_settings()
    if key is None:
        return GatewayClient(*gateway_access(settings))
    return GatewayClient(f"{gateway_url(settings.gateway)}/v1", key)


def _show_step(step: dict[str, Any]) -> None:
    from agents.asking import describe_step

    typer.secho(describe_step(step), err=True, dim=True)


def _yes(flag: bool) -> str:
    return "needed" if flag else ""
