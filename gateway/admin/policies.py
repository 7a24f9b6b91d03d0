"""`/admin/policies`: the guardrail policies as they are configured. `/admin/keys` says which keys are under which."""

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import Engine, func
from sqlmodel import Session, col, select

from gateway.admin.access import Viewer
from gateway.admin.pages import Page
from sluice.guardrails.finding import Action, Validator
from sluice.guardrails.policy import policy_id
from sluice.identity import ApiKey
from sluice.identity.scopes import keys_below
from sluice.settings import Settings


class ShownPolicy(BaseModel):
    """A policy. `id` is `<name>@<hash>`, as in usage records: equal ones decide alike.

    `input` and `output` say what follows from each validator's findings; `keys` counts those under it that are not revoked.
    """

    id: str
    name: str
    default: bool
    input: dict[Validator, Action]
    output: dict[Validator, Action]
    hold_back: int
    keys: int


def install(api: APIRouter, engine: Engine, settings: Settings) -> None:
    """Add the endpoint."""
    guardrails = settings.guardrails

    @api.get("/policies", summary="List the guardrail policies.")
    def list_(caller: Viewer) -> Page[ShownPolicy]:  # pyright: ignore[reportUnusedFunction]
        chosen = select(ApiKey.policy, func.count()).where(col(ApiKey.revoked_at).is_(None))
        if caller.scope is not None:
            chosen = chosen.where(col(ApiKey.id).in_(keys_below(caller.scope)))
        with Session(engine) as session:
            counts = dict(session.exec(chosen.group_by(col(ApiKey.policy))).all())
        counts[guardrails.default] = counts.get(guardrails.default, 0) + counts.get(None, 0)
        return Page(
            data=[
                ShownPolicy(
                    id=policy_id(name, policy),
                    name=name,
                    default=name == guardrails.default,
                    input=dict(policy.input.actions),
                    output=dict(policy.output.actions),
                    hold_back=policy.hold_back,
                    keys=counts.get(name, 0),
                )
                for name, policy in sorted(guardrails.policies.items())
            ]
        )
