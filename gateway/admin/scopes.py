"""`/admin/organisations`, `/admin/teams`, `/admin/users`."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from gateway.admin.access import Admin, Viewer
from gateway.admin.pages import After, Given, Limit, Page, page, rows_after
from sluice.errors import NotAllowed
from sluice.identity import Scope, create_scope
from sluice.identity.scopes import KINDS, Kind, keys_below, subtree


class NewScope(Given):
    """`parent`: the id of what it stands under, for good; left out: what the caller's key stands under."""

    name: str
    parent: str | None = None


class ShownScope(BaseModel):
    """An organisation, a team or a user."""

    id: str
    kind: Kind
    name: str
    parent: str | None
    created_at: datetime


class Below(BaseModel):
    """How much stands under a scope, at any depth; `keys` counts ended ones too."""

    teams: int
    users: int
    keys: int


class ScopeWithBelow(ShownScope):
    """One scope."""

    below: Below


def install(api: APIRouter, engine: Engine) -> None:
    """Add the endpoints of each kind."""
    for kind in KINDS:
        _install(api, engine, kind)


def _install(api: APIRouter, engine: Engine, kind: Kind) -> None:
    path = f"/{kind}s"

    @api.get(path, summary=f"List {kind}s.")
    def list_(caller: Viewer, limit: Limit = 100, after: After = None, under: str | None = None) -> Page[ShownScope]:  # pyright: ignore[reportUnusedFunction]
        chosen = select(Scope).where(Scope.kind == kind, caller.reached(col(Scope.id)))
        with Session(engine) as session:
            if under is not None:
                caller.find_scope(session, under)
                chosen = chosen.where(col(Scope.id).in_(subtree(under)))
            return page(rows_after(session, chosen, col(Scope.id), after, limit), limit, _show)

    @api.post(path, status_code=201, summary=f"Make one of the {kind}s.")
    def create(caller: Admin, new: NewScope) -> ShownScope:  # pyright: ignore[reportUnusedFunction]
        if kind == "organisation" and caller.scope is not None:
            raise NotAllowed(f"Organisations stand under nothing, and this key stands under {caller.scope}.")
        parent = new.parent or caller.scope
        if parent is not None:
            with Session(engine) as session:
                caller.find_scope(session, parent)
        return _show(create_scope(engine, kind, new.name, parent=parent, by=caller.name))

    @api.get(path + "/{name}", summary=f"Show one of the {kind}s.")
    def retrieve(caller: Viewer, name: str) -> ScopeWithBelow:  # pyright: ignore[reportUnusedFunction]
        with Session(engine) as session:
            scope = caller.find_scope(session, f"{kind}:{name}")
            return ScopeWithBelow(**_show(scope).model_dump(), below=_below(session, scope.id))


def _show(scope: Scope) -> ShownScope:
    return ShownScope.model_validate(scope, from_attributes=True)


def _below(session: Session, scope: str) -> Below:
    kinds = select(Scope.kind, func.count()).where(col(Scope.id).in_(subtree(scope)), Scope.id != scope)
    counts = dict(session.exec(kinds.group_by(col(Scope.kind))).all())
    keys = session.exec(select(func.count()).select_from(keys_below(scope).subquery())).one()
    return Below(teams=counts.get("team", 0), users=counts.get("user", 0), keys=keys)
