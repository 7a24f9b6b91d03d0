"""`/admin/budgets`, and `/admin/scopes/{scope}/budgets`: what a scope may use over a window."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from gateway.admin.access import Operator, Viewer, model_names
from gateway.admin.pages import After, Given, Limit, Page, page, rows_after
from sluice.errors import InvalidRequest
from sluice.identity import Budget, remove_budget, set_budget
from sluice.identity.budgets import BudgetRow, Unit, Window
from sluice.identity.money import DIGITS, show_money
from sluice.settings import Settings


class NewAmount(Given):
    """`amount`: whole tokens, or money, best as a text (`"25.50"`); `hard`: nothing is let through beyond it."""

    amount: Annotated[Decimal, Field(gt=0, max_digits=25, decimal_places=DIGITS)]
    hard: StrictBool = True


class ShownBudget(BaseModel):
    """A budget. `amount` is a number of tokens, or money as a decimal text."""

    id: str
    scope: str
    unit: Unit
    window: Window
    amount: int | str
    hard: bool


def install(api: APIRouter, engine: Engine, settings: Settings) -> None:
    """Add the endpoints."""
    models = model_names(settings)

    @api.get("/budgets", summary="List budgets.")
    def list_(caller: Viewer, limit: Limit = 100, after: After = None) -> Page[ShownBudget]:  # pyright: ignore[reportUnusedFunction]
        chosen = select(BudgetRow).where(caller.reached(col(BudgetRow.scope)))
        with Session(engine) as session:
            return page(rows_after(session, chosen, col(BudgetRow.id), after, limit), limit, show)

    @api.get("/scopes/{scope}/budgets", summary="List the budgets of one scope.")
    def of_scope(caller: Viewer, scope: str) -> Page[ShownBudget]:  # pyright: ignore[reportUnusedFunction]
        chosen = select(BudgetRow).where(BudgetRow.scope == scope).order_by(col(BudgetRow.id))
        with Session(engine) as session:
            caller.check_scope(session, scope, models)
            return Page(data=[show(row) for row in session.exec(chosen)])

    @api.put("/scopes/{scope}/budgets/{unit}/{window}", summary="Give a scope a budget, or change it.")
    def put(caller: Operator, scope: str, unit: Unit, window: Window, new: NewAmount) -> ShownBudget:  # pyright: ignore[reportUnusedFunction]
        with Session(engine) as session:
            caller.check_below(session, scope, models)
        amount = new.amount if unit == "tokens" else new.amount.scaleb(DIGITS)
        if amount != int(amount):
            raise InvalidRequest("A budget in tokens is a whole number.", param="amount")
        return show(set_budget(engine, scope, int(amount), window, unit, hard=new.hard, by=caller.name))

    @api.delete("/scopes/{scope}/budgets/{unit}/{window}", status_code=204, summary="Take a budget away.")
    def remove(caller: Operator, scope: str, unit: Unit, window: Window) -> None:  # pyright: ignore[reportUnusedFunction]
        with Session(engine) as session:
            caller.check_below(session, scope, models)
        remove_budget(engine, f"{scope}/{unit}/{window}", by=caller.name)


def show(budget: Budget | BudgetRow) -> ShownBudget:
    """As the API has it."""
    return ShownBudget(
        id=budget.id,
        scope=budget.scope,
        unit=budget.unit,
        window=budget.window,
        amount=amount_of(budget.amount, budget.unit),
        hard=budget.hard,
    )


def amount_of(amount: int, unit: Unit) -> int | str:
    """Tokens as they are; billionths of the currency as a decimal text that says them all."""
    return amount if unit == "tokens" else show_money(amount, DIGITS)
