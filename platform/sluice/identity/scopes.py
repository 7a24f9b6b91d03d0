"""Scopes: who is counted. An organisation holds teams, a team users, and each of the three keys; a model is one too.

A scope's id is `<kind>:<name>`: `organisation:acme`, `team:search`, `user:ada`, `key:x1f…`, `model:smollm2`. What a scope
stands under never changes, so that what was spent below it stays its own; who moves gets a new one.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, Literal, get_args

from sqlalchemy import Engine, String
from sqlmodel import Field, Session, SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from sluice import audit
from sluice.database import UtcDateTime
from sluice.errors import Conflict, InvalidRequest, NotFound
from sluice.identity.keys import ApiKey
from sluice.identity.revisions import next_meters

Kind = Literal["organisation", "team", "user"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PARENTS: dict[Kind, tuple[str, ...]] = {"organisation": (), "team": ("organisation",), "user": ("organisation", "team")}
"""What each kind may stand under; nothing is allowed too."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Scope(SQLModel, table=True):
    """An organisation, a team or a user. Keys and models are scopes without a row here."""

    __tablename__: ClassVar[str] = "scope"  # pyright: ignore[reportIncompatibleVariableOverride]

    id: str = Field(primary_key=True, sa_type=String)
    kind: Kind = Field(sa_type=String)
    name: str = Field(sa_type=String)
    parent: str | None = Field(default=None, index=True, sa_type=String)
    created_at: datetime = Field(sa_type=UtcDateTime)


def key_scope(key_id: str) -> str:
    """The scope of a key."""
    return f"key:{key_id}"


def model_scope(route: str) -> str:
    """The scope of a model's name, whoever asks for it."""
    return f"model:{route}"


def create_scope(engine: Engine, kind: str, name: str, *, parent: str | None = None, by: str) -> Scope:
    """Make an organisation, a team or a user.

    Args:
        parent: the id of the scope that it stands under.
        by: who does it, for the audit log.

    Raises:
        InvalidRequest: no such kind, a name that is none, or a parent that cannot hold this kind.
        NotFound: there is no such parent.
        Conflict: it is there already.
        StateUnavailable: the database cannot be used.
    """
    if kind not in KINDS:
        raise InvalidRequest(f"'{kind}' is no kind of scope.", fix=f"Take one of: {', '.join(KINDS)}.", param="kind")
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            f"'{name[:64]}' is no name of a scope.",
            fix="Take up to 64 letters, digits, and . _ @ - after the first.",
            param="name",
        )
    if parent is not None and parent.partition(":")[0] not in PARENTS[kind]:
        held = " or ".join(PARENTS[kind]) or "nothing"
        raise InvalidRequest(f"A {kind} stands under {held}, not under '{parent[:100]}'.", param="parent")
    scope = Scope(id=f"{kind}:{name}", kind=kind, name=name, parent=parent, created_at=datetime.now(UTC))
    with Session(engine, expire_on_commit=False) as session:
        next_meters(session)
        if session.get(Scope, scope.id) is not None:
            raise Conflict(f"{scope.id} is there already.", param="name")
        if parent is not None:
            find_scope(session, parent)
        session.add(scope)
        audit.append(session, actor=by, action=f"{kind}.created", subject=scope.id, detail={"parent": parent})
        session.commit()
    return scope


def list_scopes(engine: Engine) -> list[Scope]:
    """All organisations, teams and users, by id.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        return list(session.exec(select(Scope).order_by(col(Scope.id))))


def find_scope(session: Session, scope: str) -> Scope:
    """The row of an organisation, a team or a user.

    Raises:
        NotFound: there is none of that id.
    """
    row = session.get(Scope, scope)
    if row is None:
        raise NotFound(f"There is no scope '{scope[:100]}'.", fix="'sluice scopes list' shows those there are.")
    return row


def chain(scope: str | None, parents: Mapping[str, str | None]) -> tuple[str, ...]:
    """A scope with all that it stands under, the outermost first.

    Args:
        parents: of every organisation, team and user.
    """
    found: list[str] = []
    while scope is not None and scope not in found:
        found.append(scope)
        scope = parents.get(scope)
    return tuple(reversed(found))


def subtree(scope: str) -> SelectOfScalar[str]:
    """A query for the ids of an organisation, a team or a user and of all those below it."""
    below = select(Scope.id).where(Scope.id == scope).cte(recursive=True)
    below = below.union(select(Scope.id).where(col(Scope.parent) == below.c.id))
    return select(below.c.id)


def keys_below(scope: str) -> SelectOfScalar[str]:
    """A query for the ids of all keys, ended ones too, that stand under an organisation, a team or a user."""
    return select(ApiKey.id).where(col(ApiKey.scope).in_(subtree(scope)))
