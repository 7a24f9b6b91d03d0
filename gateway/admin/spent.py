"""`/admin/spent`: what of each budget is gone in the window that is now, from the usage records in the database."""

import time
from datetime import UTC, datetime

from fastapi import APIRouter
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from gateway.admin.access import Viewer, model_names
from gateway.admin.budgets import ShownBudget, amount_of, show
from gateway.admin.pages import After, Limit, Page, page, rows_after
from gateway.metering.spent import charged_since
from gateway.metering.window import span
from sluice.identity.budgets import BudgetRow
from sluice.settings import Settings


class Spent(ShownBudget):
    """A budget and what is gone of it, in its own unit. Calls under way are not counted yet.

    `begins` and `ends` are those of the window that is now; a budget for ever has neither.
    """

    spent: int | str
    left: int | str
    begins: datetime | None
    ends: datetime | None


def install(api: APIRouter, engine: Engine, settings: Settings) -> None:
    """Add the endpoint."""
    models = model_names(settings)

    @api.get("/spent", summary="What each budget has spent.")
    def list_(  # pyright: ignore[reportUnusedFunction]
        caller: Viewer, limit: Limit = 20, after: After = None, scope: str | None = None
    ) -> Page[Spent]:
        chosen = select(BudgetRow).where(caller.reached(col(BudgetRow.scope)))
        with Session(engine) as session:
            if scope is not None:
                caller.check_scope(session, scope, models)
                chosen = chosen.where(BudgetRow.scope == scope)
            rows = rows_after(session, chosen, col(BudgetRow.id), after, limit)
        return page(rows, limit, lambda row: _spent(engine, row, time.time()))


def _spent(engine: Engine, row: BudgetRow, now: float) -> Spent:
    budget = row.budget
    begins, ends = span(budget.window, now)
    spent = charged_since(engine, budget, begins)
    bounded = budget.window != "ever"
    return Spent(
        **show(budget).model_dump(),
        spent=amount_of(spent, budget.unit),
        left=amount_of(max(0, budget.amount - spent), budget.unit),
        begins=datetime.fromtimestamp(begins, UTC) if bounded else None,
        ends=datetime.fromtimestamp(ends, UTC) if bounded else None,
    )
