"""The lineage graph: nodes, and edges from each to what it was made from (W3C PROV's `wasDerivedFrom` and `used`).

An id is `<kind>:<key>`: `request:req-…`, `answer:…`, `prompt:<name>@<hash>`, `commit:<hash>`, `index:<name>@<hash>`,
`chunk:<hash>`, `document:<hash>`, `model:<name>@<version>`, `gate:…`, `promotion:…`, `run:…`, `training_set:<hash>`,
`table:<layer>.<name>@<version>`, `file:<hash>`, `prediction:…`, `policy:<name>@<hash>`, `agent:<name>@<hash>`,
`tool_call:…`, `alert:…`, `gateway:…`. What an id names never changes, so recording it again changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, String
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel

from sluice.database import UtcDateTime

Source = tuple[str, str]
"""Role and id of what something was made from: `("prompt", "prompt:answer@3f2a…")`."""


@dataclass(frozen=True)
class Node:
    """One thing, with what it was made from.

    Attributes:
        sources: empty where it came from outside, or where nothing of it is known (`known` is False).
        repeated: its sources stand at its first place in the tree.
    """

    id: str
    at: datetime | None = None
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    sources: tuple[tuple[str, "Node"], ...] = ()
    known: bool = True
    repeated: bool = False


@dataclass(frozen=True)
class Found:
    """What a resolver knows of an id that is kept elsewhere than in the graph's tables (a request: its usage record)."""

    attributes: dict[str, Any]
    sources: tuple[Source, ...] = ()
    at: datetime | None = None


class LineageNode(SQLModel, table=True):
    """A node's row."""

    __tablename__: ClassVar[str] = "lineage_node"  # pyright: ignore[reportIncompatibleVariableOverride]

    id: str = Field(primary_key=True, sa_type=String)
    at: datetime = Field(sa_type=UtcDateTime)
    attributes: dict[str, Any] = Field(sa_type=JSON)


class LineageEdge(SQLModel, table=True):
    """An edge's row: `child` was made from `parent`; `place` keeps the order in which they were given."""

    __tablename__: ClassVar[str] = "lineage_edge"  # pyright: ignore[reportIncompatibleVariableOverride]

    child: str = Field(primary_key=True, sa_type=String)
    place: int = Field(primary_key=True)
    role: str = Field(sa_type=String)
    parent: str = Field(index=True, sa_type=String)


_nodes = SQLModel.metadata.tables["lineage_node"]
_edges = SQLModel.metadata.tables["lineage_edge"]


def record(session: Session, node_id: str, attributes: dict[str, Any], sources: Iterable[Source] = ()) -> None:
    """Note what something was made from, in the session's transaction; the caller commits. Known ids stay as they are.

    Args:
        attributes: what a person would want to see of it; JSON.
        sources: the ids need not be known yet.
    """
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    connection = session.connection()
    node = {"id": node_id, "at": datetime.now(UTC), "attributes": attributes}
    added = connection.execute(insert(_nodes).values(node).on_conflict_do_nothing().returning(_nodes.c.id)).first()
    edges = [
        {"child": node_id, "place": place, "role": role, "parent": parent}
        for place, (role, parent) in enumerate(sources)
    ]
    if added and edges:
        connection.execute(insert(_edges).values(edges))
