"""`/admin/keys`. A key's text is in one answer only: that to its making."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import Engine, or_
from sqlmodel import Session, col, select

from gateway.admin.access import Caller, Developer, Operator, Viewer
from gateway.admin.pages import After, Given, Limit, Page, Text, page, rows_after
from sluice.errors import InvalidRequest, NotAllowed
from sluice.identity import ApiKey, create_key, revoke_key, set_key_policy
from sluice.identity.keys import Role
from sluice.identity.scopes import keys_below
from sluice.settings import Settings


class NewKey(Given):
    """A key to be made. What is left out is the caller's own: its owner, what it stands under, the models it may use.

    Without a `policy` it is under the deployment's default one, a developer's under the developer's own; without a `role`
    it may do nothing under /admin.
    """

    owner: Annotated[Text, Field(min_length=1)] | None = None
    name: Text = ""
    scope: str | None = None
    role: Role | None = None
    models: Annotated[list[Text], Field(max_length=1000)] | None = None
    policy: str | None = None
    expires_at: AwareDatetime | None = None


class ShownKey(BaseModel):
    """A key, without its secret."""

    id: str
    owner: str
    name: str
    scope: str | None
    role: Role | None
    models: list[str] | None
    policy: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    state: Literal["active", "expired", "revoked"]


class MadeKey(ShownKey):
    """A key that was just made, with its text (`key`), which is kept nowhere and never shown again."""

    key: str


class KeyPolicy(Given):
    """A key's guardrail policy; null: the deployment's default one."""

    policy: str | None


def install(api: APIRouter, engine: Engine, settings: Settings) -> None:
    """Add the endpoints."""

    @api.get("/keys", summary="List keys, ended ones too.")
    def list_(  # pyright: ignore[reportUnusedFunction]
        caller: Viewer,
        limit: Limit = 100,
        after: After = None,
        under: str | None = None,
        policy: str | None = None,
    ) -> Page[ShownKey]:
        chosen = select(ApiKey)
        if caller.scope is not None:
            chosen = chosen.where(col(ApiKey.id).in_(keys_below(caller.scope)))
        if policy is not None:
            named, unnamed = col(ApiKey.policy) == policy, col(ApiKey.policy).is_(None)
            chosen = chosen.where(or_(named, unnamed) if policy == settings.guardrails.default else named)
        with Session(engine) as session:
            if under is not None:
                caller.find_scope(session, under)
                chosen = chosen.where(col(ApiKey.id).in_(keys_below(under)))
            return page(rows_after(session, chosen, col(ApiKey.id), after, limit), limit, _show)

    @api.post("/keys", status_code=201, summary="Make a key.")
    def create(caller: Developer, new: NewKey, response: Response) -> MadeKey:  # pyright: ignore[reportUnusedFunction]
        owner = new.owner or caller.owner
        models = caller.models if new.models is None else frozenset(new.models)
        policy = new.policy if new.policy or caller.is_at_least("operator") else caller.policy
        scope = new.scope or caller.scope
        _check_new(caller, owner, new.role, models, policy)
        _check_policy(settings, policy)
        if scope is not None:
            with Session(engine) as session:
                caller.find_scope(session, scope)
        key, text = create_key(
            engine,
            owner=owner,
            name=new.name,
            models=models,
            expires_at=new.expires_at,
            policy=policy,
            scope=scope,
            role=new.role,
            by=caller.name,
        )
        response.headers["cache-control"] = "no-store"
        return MadeKey(**_show(key).model_dump(), key=text)

    @api.get("/keys/{id}", summary="Show a key.")
    def retrieve(caller: Viewer, id: str) -> ShownKey:  # noqa: A002  # pyright: ignore[reportUnusedFunction]
        with Session(engine) as session:
            return _show(caller.find_key(session, id))

    @api.delete("/keys/{id}", status_code=204, summary="End a key; every gateway process refuses it within a second.")
    def revoke(caller: Developer, id: str) -> None:  # noqa: A002  # pyright: ignore[reportUnusedFunction]
        with Session(engine) as session:
            key = caller.find_key(session, id)
        if key.id != caller.key_id:  # whoever fears for their own key may end it
            _check_change(caller, key)
        revoke_key(engine, id, by=caller.name)

    @api.put("/keys/{id}/policy", summary="Put a key under a guardrail policy.")
    def set_policy(caller: Operator, id: str, new: KeyPolicy) -> ShownKey:  # noqa: A002  # pyright: ignore[reportUnusedFunction]
        with Session(engine) as session:
            _check_change(caller, caller.find_key(session, id))
        _check_policy(settings, new.policy)
        return _show(set_key_policy(engine, id, new.policy, by=caller.name))


def _show(key: ApiKey) -> ShownKey:
    expired = key.expires_at is not None and key.expires_at <= datetime.now(UTC)
    state = "revoked" if key.revoked_at else "expired" if expired else "active"
    return ShownKey.model_validate({**key.model_dump(exclude={"secret_hash", "revision"}), "state": state})


def _check_new(
    caller: Caller, owner: str, role: Role | None, models: frozenset[str] | None, policy: str | None
) -> None:
    """Nobody gives away more than they have.

    Raises:
        NotAllowed: the caller may not make such a key.
    """
    if role is not None:
        caller.need("admin", "Making a key with a role")
        caller.need(role, f"Making a key with the role {role}")
    # An approval counts by its owner's name, so whoever could make keys in another's name could approve their own work.
    if owner != caller.owner:
        caller.need("operator", "Making a key for another owner")
    if caller.models is not None and not (models is not None and models <= caller.models):
        raise NotAllowed("The key would use models that this key may not use.", fix="Name some of its own.")
    if policy != caller.policy:
        caller.need("operator", "Making a key under another policy than this key's")


def _check_change(caller: Caller, key: ApiKey) -> None:
    """Keys with a role are an administrator's business.

    Raises:
        NotAllowed: the caller is none.
    """
    if key.role is not None:
        caller.need("admin", "Changing a key with a role")


def _check_policy(settings: Settings, policy: str | None) -> None:
    if policy is not None and policy not in settings.guardrails.policies:
        known = ", ".join(settings.guardrails.policies) or "none"
        raise InvalidRequest(
            f"There is no guardrail policy '{policy[:64]}'.", fix=f"There are: {known}.", param="policy"
        )
