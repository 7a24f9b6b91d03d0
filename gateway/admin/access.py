"""Who may do what under /admin: a key's role says what, and what the key stands under says to whom.

A key administers what it stands under and all below; a key that stands under nothing, everything. What lies elsewhere is
not there for it: the same 404 as for what does not exist.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Annotated, Self, cast

from fastapi import Depends, Request
from sqlalchemy import ColumnElement, literal, or_, true
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col, select

from sluice.errors import NotAllowed, NotFound
from sluice.identity import ApiKey, Identity, Scope
from sluice.identity.keys import ROLES, Role
from sluice.identity.scopes import keys_below, subtree
from sluice.settings import Settings


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key a request under /admin carries.

    Attributes:
        scope: what the key stands under; None: nothing, so it administers everything.
        models: as the key's own; None: all.
    """

    key_id: str
    owner: str
    role: Role
    scope: str | None
    models: frozenset[str] | None
    policy: str | None

    @classmethod
    def of(cls, identity: Identity) -> Self:
        """The caller whose key it is.

        Raises:
            NotAllowed: a key without a role.
        """
        if identity.role not in ROLES:
            raise NotAllowed("This key has no role under /admin.", fix="Ask an administrator for one that has.")
        scope = identity.scopes[-2] if len(identity.scopes) > 1 else None
        return cls(identity.key_id, identity.owner, identity.role, scope, identity.models, identity.policy)

    @property
    def name(self) -> str:
        """Of whoever does it, in the audit log."""
        return f"{self.owner} (key {self.key_id})"

    def is_at_least(self, role: Role) -> bool:
        """Whether the key's role is this one or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def need(self, role: Role, what: str) -> None:
        """Refuse what takes a higher role.

        Raises:
            NotAllowed: the key's role is lower.
        """
        if not self.is_at_least(role):
            raise NotAllowed(f"{what} takes the role {role}, and this key's is {self.role}.")

    def need_everything(self, what: str) -> None:
        """Refuse what concerns everybody to those who stand under something.

        Raises:
            NotAllowed: the key stands under something.
        """
        if self.scope is not None:
            raise NotAllowed(f"{what} concern everybody, and this key stands under {self.scope}.")

    def reached(self, scope_column: Mapped[str]) -> ColumnElement[bool]:
        """The condition that a scope, be it a key's or a model's too, is one that the caller administers."""
        if self.scope is None:
            return true()
        keys = keys_below(self.scope).with_only_columns(literal("key:").concat(col(ApiKey.id)))
        return or_(scope_column.in_(subtree(self.scope)), scope_column.in_(keys))

    def find_key(self, session: Session, key_id: str) -> ApiKey:
        """A key that the caller administers.

        Raises:
            NotFound: there is none of that id.
        """
        key = session.get(ApiKey, key_id)
        if key is None or not self._reaches(session, key.scope):
            raise NotFound("There is no such key.", fix="GET /admin/keys lists those there are.")
        return key

    def find_scope(self, session: Session, scope: str) -> Scope:
        """An organisation, a team or a user that the caller administers.

        Raises:
            NotFound: there is none of that id.
        """
        row = session.get(Scope, scope)
        if row is None or not self._reaches(session, scope):
            raise NotFound(f"There is no scope '{scope[:100]}'.", fix="Expected, for instance: team:search")
        return row

    def check_scope(self, session: Session, scope: str, models: Container[str]) -> None:
        """Refuse a scope of any kind that the caller does not administer.

        Args:
            models: the names of those that there are.

        Raises:
            NotFound: there is none of that id.
        """
        kind, _, name = scope.partition(":")
        if kind == "key":
            self.find_key(session, name)
        elif kind != "model":
            self.find_scope(session, scope)
        elif self.scope is not None or name not in models:
            raise NotFound(f"There is no scope '{scope[:100]}'.", fix="GET /v1/models lists the models.")

    def check_below(self, session: Session, scope: str, models: Container[str]) -> None:
        """As `check_scope`, for what a scope is given by those above it.

        Raises:
            NotAllowed: it is the scope that the caller itself stands under, or its own key.
        """
        self.check_scope(session, scope, models)
        own_key = scope == f"key:{self.key_id}" and self.scope is not None
        if scope == self.scope or own_key:
            raise NotAllowed(f"What {scope} may use is set by a key that stands above it.")

    def _reaches(self, session: Session, scope: str | None) -> bool:
        if self.scope is None:
            return True
        here = select(Scope.id).where(Scope.id == scope, col(Scope.id).in_(subtree(self.scope)))
        return session.exec(here).first() is not None


def model_names(settings: Settings) -> set[str]:
    """All names that clients can ask for."""
    return {*settings.models, *settings.routes, *(name for one in settings.services.values() for name in one.models)}


class _AtLeast:
    """The dependency that lets nobody in below a role."""

    def __init__(self, role: Role) -> None:
        self._role: Role = role

    async def __call__(self, request: Request) -> Caller:
        caller = cast("Caller", request.state.caller)
        caller.need(self._role, f"{request.method} {request.scope['route'].path}")
        return caller


Viewer = Annotated[Caller, Depends(_AtLeast("viewer"))]
Developer = Annotated[Caller, Depends(_AtLeast("developer"))]
Operator = Annotated[Caller, Depends(_AtLeast("operator"))]
Admin = Annotated[Caller, Depends(_AtLeast("admin"))]
