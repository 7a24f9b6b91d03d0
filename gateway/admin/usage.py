"""`/admin/usage`: what was used, summed."""

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlmodel import Session

from gateway.admin.access import Viewer
from gateway.admin.budgets import amount_of
from gateway.usage.report import Sums, parse_since, report


class ShownSums(BaseModel):
    """Sums of one key, scope, model or day (`name`). `cost` is money as a decimal text."""

    name: str
    about: str
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    charged_tokens: int
    cost: str
    errors: int


class ShownUsage(BaseModel):
    """What was used since a moment; the sums of all days stand in `days`."""

    by: str
    since: datetime
    data: list[ShownSums]
    days: list[ShownSums]


def install(api: APIRouter, engine: Engine) -> None:
    """Add the endpoint."""

    @api.get("/usage", summary="Sum requests, tokens and money.")
    def sums(  # pyright: ignore[reportUnusedFunction]
        caller: Viewer,
        by: Literal["scope", "key", "model", "day"] = "scope",
        since: str = "30d",
        key: str | None = None,
        under: str | None = None,
    ) -> ShownUsage:
        """Of everything that the caller administers, of one key, or of all keys `under` a scope. `since` is 30d, 12h, 15m,
        or a date (UTC)."""
        with Session(engine) as session:
            if key is not None:
                caller.find_key(session, key)
            if under is not None:
                caller.find_scope(session, under)
        begin = parse_since(since, datetime.now(UTC))
        found = report(engine, by=by, since=begin, key=key, under=under or caller.scope)
        return ShownUsage(
            by=by, since=found.since, data=[_show(row) for row in found.rows], days=[_show(day) for day in found.days]
        )


def _show(sums: Sums) -> ShownSums:
    return ShownSums.model_validate({**vars(sums), "cost": amount_of(sums.cost, "money")})
