"""`/v1/key`: what whoever holds a key may know of it without a role: what it may use, and what is left of that."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel

from gateway.admin.budgets import ShownBudget, amount_of, show
from gateway.admin.limits import ShownLimit
from gateway.metering.step import MeteringStep
from gateway.metering.window import span
from gateway.request import read_head
from sluice.identity import Budget, Keyring


class Standing(ShownBudget):
    """A budget that the key's calls count for. `held` is what calls under way have leased; `ends`: when it begins anew."""

    spent: int | str
    held: int | str
    left: int | str
    ends: datetime | None


class OwnKey(BaseModel):
    """A key, and the budgets and limits of it and of all that it stands under; not those of models."""

    id: str
    owner: str
    scopes: tuple[str, ...]
    models: list[str] | None
    policy: str | None
    role: str | None
    budgets: list[Standing]
    limits: list[ShownLimit]


def router(keyring: Keyring, metering: MeteringStep) -> APIRouter:
    """The endpoint, over the gateway's keys and its ledger."""
    api = APIRouter(tags=["models"])

    @api.get("/v1/key", summary="What this key may use, and what is left of it.")
    async def own(request: Request) -> OwnKey:  # pyright: ignore[reportUnusedFunction]
        token, _, _ = read_head(request.scope["headers"])
        identity = await keyring.authenticate(token)
        return OwnKey(
            id=identity.key_id,
            owner=identity.owner,
            scopes=identity.scopes,
            models=None if identity.models is None else sorted(identity.models),
            policy=identity.policy,
            role=identity.role,
            budgets=[await _standing(metering, budget) for budget in identity.budgets],
            limits=[ShownLimit.model_validate(limit, from_attributes=True) for limit in identity.limits],
        )

    return api


async def _standing(metering: MeteringStep, budget: Budget) -> Standing:
    spent, held = await metering.used(budget)
    return Standing(
        **show(budget).model_dump(),
        spent=amount_of(spent, budget.unit),
        held=amount_of(held, budget.unit),
        left=amount_of(max(0, budget.amount - spent - held), budget.unit),
        ends=None
        if budget.window == "ever"
        else datetime.fromtimestamp(span(budget.window, metering.ledger.clock())[1], UTC),
    )
