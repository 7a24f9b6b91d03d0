"""Following the graph from one id to everything it was made from."""

import contextlib
import importlib.metadata
from collections.abc import Callable
from functools import cache

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from sluice.errors import NotFound
from sluice.lineage.graph import Found, LineageEdge, LineageNode, Node

Resolver = Callable[[Session, str], Found | None]

LONGEST_TRACE = 2_000
"""Nodes of one trace; an index of many documents is cut there."""


def trace(engine: Engine, node_id: str) -> Node:
    """The tree of what `node_id` was made from. A node that is met again has no sources there.

    Raises:
        NotFound: nothing is known of it.
        StateUnavailable: the database cannot be used.
    """
    seen: set[str] = set()

    def follow(current: str) -> Node:
        if current in seen:
            return Node(current, repeated=True)
        seen.add(current)
        found = _look_up(session, current)
        if found is None:
            return Node(current, known=False)
        kept = found.sources if len(seen) < LONGEST_TRACE else ()
        return Node(current, found.at, found.attributes, tuple((role, follow(parent)) for role, parent in kept))

    with Session(engine) as session:
        tree = follow(node_id)
    if not tree.known:
        raise _unknown(node_id)
    return tree


def find(engine: Engine, text: str) -> str:
    """The id that `text` means: whole, or what stands after its kind (`req-…`), as far as it is unambiguous.

    Raises:
        NotFound: nothing is known of it, or it could be several things.
        StateUnavailable: the database cannot be used.
    """
    text = text.strip()
    with Session(engine) as session:
        if ":" in text and _look_up(session, text) is not None:
            return text
        kinds = [kind for kind in _kinds() if _look_up(session, f"{kind}:{text}") is not None]
        escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        chosen = select(LineageNode.id).where(col(LineageNode.id).like(f"%{escaped}%", escape="\\")).limit(6)
        candidates = list(session.exec(chosen)) if len(text) >= 6 else []
        exact = [f"{kind}:{text}" for kind in kinds] + [
            found for found in candidates if found.partition(":")[2] == text
        ]
        exact = _without_sources(session, exact)
    for choice in (exact, candidates):
        if len(choice) == 1:
            return choice[0]
    if several := exact or candidates:
        raise NotFound(f"'{text}' could be several things.", fix=f"Take one of: {', '.join(several)}")
    raise _unknown(text)


def _without_sources(session: Session, ids: list[str]) -> list[str]:
    """Without those that another of them was made from: an answer leads to the request whose id it shares."""
    found = [_look_up(session, node_id) for node_id in ids] if len(ids) > 1 else []
    sources = {parent for one in found if one is not None for _, parent in one.sources}
    return [node_id for node_id in ids if node_id not in sources]


def _look_up(session: Session, node_id: str) -> Found | None:
    row = session.get(LineageNode, node_id)
    if row is not None:
        chosen = select(LineageEdge).where(LineageEdge.child == node_id).order_by(col(LineageEdge.place))
        return Found(row.attributes, tuple((edge.role, edge.parent) for edge in session.exec(chosen)), row.at)
    kind, _, key = node_id.partition(":")
    resolve = _resolver(kind)
    return resolve(session, key) if resolve else None


def _kinds() -> set[str]:
    """The kinds that packages keep in tables of their own; `sluice.lineage` says how to look them up."""
    return {entry.name for entry in importlib.metadata.entry_points(group="sluice.lineage")}


@cache
def _resolver(kind: str) -> Resolver | None:
    """How to look up an id of that kind; None also where the package's libraries are not installed."""
    for entry in importlib.metadata.entry_points(group="sluice.lineage", name=kind):
        with contextlib.suppress(ImportError):
            return entry.load()
    return None


def _unknown(text: str) -> NotFound:
    return NotFound(
        f"Nothing is known of '{text[:200]}'.", fix="Ids stand in answers (x-request-id) and in what commands print."
    )
