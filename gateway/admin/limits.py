"""`/admin/limits`, and `/admin/scopes/{scope}/limits`: a scope's requests and tokens a minute, and requests at once."""

from fastapi import APIRouter
from pydantic import BaseModel, StrictInt
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from gateway.admin.access import Operator, Viewer, model_names
from gateway.admin.pages import After, Given, Limit, Page, page, rows_after
from sluice import identity
from sluice.identity import remove_limit, set_limit
from sluice.identity.limits import LimitRow, What
from sluice.settings import Settings


class NewLimit(Given):
    """How many: a minute, or at once."""

    amount: StrictInt


class ShownLimit(BaseModel):
    """A limit."""

    id: str
    scope: str
    what: What
    amount: int


def install(api: APIRouter, engine: Engine, settings: Settings) -> None:
    """Add the endpoints."""
    models = model_names(settings)

    @api.get("/limits", summary="List limits.")
    def list_(caller: Viewer, limit: Limit = 100, after: After = None) -> Page[ShownLimit]:  # pyright: ignore[reportUnusedFunction]
        chosen = select(LimitRow).where(caller.reached(col(LimitRow.scope)))
        with Session(engine) as session:
            return page(rows_after(session, chosen, col(LimitRow.id), after, limit), limit, _show)

    @api.get("/scopes/{scope}/limits", summary="List the limits of one scope.")
    def of_scope(caller: Viewer, scope: str) -> Page[ShownLimit]:  # pyright: ignore[reportUnusedFunction]
        chosen = select(LimitRow).where(LimitRow.scope == scope).order_by(col(LimitRow.id))
        with Session(engine) as session:
            caller.check_scope(session, scope, models)
            return Page(data=[_show(row) for row in session.exec(chosen)])

    @api.put("/scopes/{scope}/limits/{what}", summary="Give a scope a limit, or change it.")
    def put(caller: Operator, scope: str, what: What, new: NewLimit) -> ShownLimit:  # pyright: ignore[reportUnusedFunction]
        with Session(engine) as session:
            caller.check_below(session, scope, models)
        return _show(set_limit(engine, scope, what, new.amount, by=caller.name))

    @api.delete("/scopes/{scope}/limits/{what}", status_code=204, summary="Take a limit away.")
    def remove(caller: Operator, scope: str, what: What) -> None:  # pyright: ignore[reportUnusedFunction]
        with Session(engine) as session:
            caller.check_below(session, scope, models)
        remove_limit(engine, f"{scope}/{what}", by=caller.name)


def _show(limit: identity.Limit | LimitRow) -> ShownLimit:
    return ShownLimit.model_validate(limit, from_attributes=True)
