"""Kept requests for the terminal, and for programs."""

import json
from itertools import zip_longest
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.kept.replay import KeptRequest, Replay, decoded


def as_plain(kept: KeptRequest) -> dict[str, Any]:
    """A request as JSON: its bodies where they are JSON, else as text."""
    record, body = kept.record, kept.body
    return {
        "id": record.request_id,
        "at": body.at.isoformat(),
        "expires_at": body.expires_at.isoformat(),
        "model": record.route,
        "endpoint": record.endpoint,
        "status": record.status,
        "policy": record.policy,
        "prompt": record.prompt,
        "request": decoded(body.request),
        "answer": body.response and decoded(body.response),
    }


def print_kept(kept: KeptRequest, console: Console) -> None:
    """A request and its answer, as JSON."""
    plain = as_plain(kept)
    request, answer = plain.pop("request"), plain.pop("answer")
    for name, value in plain.items():
        if value is not None:
            console.print(Text(f"{name:10}  {value}"), soft_wrap=True)
    for title, value in (("request", request), ("answer", answer)):
        console.print(Text(f"\n{title}", "bold"))
        text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        console.print(Text("(none)" if value is None else text), soft_wrap=True)


def print_replay(done: Replay, console: Console) -> None:
    """Both answers side by side."""
    table = Table("then", "now", expand=True, show_lines=True)
    for before, again in zip_longest(done.before, done.again, fillvalue=""):
        table.add_row(Text(before), Text(again))
    console.print(table)
    console.print("The answers are the same." if done.before == done.again else "The answers differ.")
    for note in done.notes:
        console.print(Text(note, "dim"))
    console.print(Text(f"Again it was {done.request_id}.", "dim"), soft_wrap=True)
