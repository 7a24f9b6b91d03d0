"""A lineage tree for the terminal, and for programs."""

import json
from typing import Any

from rich.text import Text
from rich.tree import Tree

from sluice.lineage import Node

LONGEST_VALUE = 80


def as_plain(node: Node) -> dict[str, Any]:
    """The tree as JSON: id, when, attributes, and the sources with their roles."""
    plain: dict[str, Any] = {"id": node.id}
    if node.repeated or not node.known:
        return plain | {"repeated" if node.repeated else "unknown": True}
    sources = [{"role": role, **as_plain(source)} for role, source in node.sources]
    return plain | {"at": node.at and node.at.isoformat(), "attributes": node.attributes, "sources": sources}


def as_tree(node: Node) -> Tree:
    """The tree as rich draws it: the id of each node can be given to `sluice trace` again."""
    tree = Tree(_line("", node))
    _grow(tree, node)
    return tree


def _grow(tree: Tree, node: Node) -> None:
    for role, source in node.sources:
        _grow(tree.add(_line(role, source)), source)


def _line(role: str, node: Node) -> Text:
    line = Text(overflow="fold")
    if role:
        line.append(f"{role}  ", "dim")
    line.append(node.id, "bold")
    if node.repeated:
        line.append("  (above)", "dim")
    elif not node.known:
        line.append("  (not recorded)", "yellow")
    for name, value in node.attributes.items():
        if value not in (None, "", [], {}):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            text = " ".join(text.split())
            shown = text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
            line.append(f"\n  {name}: ", "dim")
            line.append(shown)
    return line
