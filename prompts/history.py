"""What happened to prompts, for people to look at."""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from prompts.registry import PromptVersion, list_versions
from sluice.promotion import GateResult, Label, Promotion

Row = dict[str, Any]
SHORT = 12
"""Digits of a hash that a person is shown."""


def overview(engine: Engine) -> list[Row]:
    """One row for each prompt: its newest version, how many there are, and its labels.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        labels = list(session.exec(select(Label).where(Label.kind == "prompt").order_by(col(Label.label))))
    by_name: dict[str, list[PromptVersion]] = {}
    for version in list_versions(engine):
        by_name.setdefault(version.name, []).append(version)
    return [
        {
            "name": name,
            "newest": versions[-1].version[:SHORT],
            "registered": _shown(versions[-1].at),
            "versions": len(versions),
            "labels": ", ".join(f"{label.label}={label.version[:SHORT]}" for label in labels if label.name == name),
        }
        for name, versions in by_name.items()
    ]


def events(engine: Engine, name: str) -> list[Row]:
    """A prompt's versions, gates and promotions, oldest first.

    Raises:
        NotFound: there is no such prompt.
        StateUnavailable: the database cannot be used.
    """
    happened = [
        (
            one.at,
            "registered",
            one.version,
            one.author,
            f"commit {one.commit[:SHORT]}" if one.commit else "not committed",
        )
        for one in list_versions(engine, name)
    ]
    with Session(engine) as session:
        for gate in session.exec(select(GateResult).where(GateResult.kind == "prompt", GateResult.name == name)):
            against = f"against {gate.incumbent[:SHORT]}" if gate.incumbent else "on its own"
            note = f"; {gate.report['note']}" if gate.report.get("note") else ""
            detail = f"{gate.verdict} on suite '{gate.suite}' {against} ({gate.id}){note}"
            happened.append((gate.at, "judged", gate.version, gate.author, detail))
        for move in session.exec(select(Promotion).where(Promotion.kind == "prompt", Promotion.name == name)):
            detail = f"'{move.label}' moved here from {move.previous[:SHORT] if move.previous else 'nowhere'}"
            happened.append((move.at, "labelled", move.version, move.by, detail))
    return [
        {"at": _shown(at), "what": what, "version": version[:SHORT], "by": by, "detail": detail}
        for at, what, version, by, detail in sorted(happened)
    ]


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
