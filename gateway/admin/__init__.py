"""`/admin`: organisations, teams, users, keys, budgets, limits, labels, policies, usage and the audit log, over HTTP."""

from fastapi import APIRouter, Security
from fastapi.security import HTTPBearer
from sqlalchemy import Engine

from gateway.admin import audit, budgets, keys, labels, limits, policies, scopes, spent, usage
from gateway.admin.door import route_class
from sluice.identity import Keyring
from sluice.settings import Settings

SCHEME = Security(HTTPBearer(scheme_name="key", auto_error=False))
"""For the OpenAPI document only: the door has read the key already."""


def router(engine: Engine, keyring: Keyring, settings: Settings) -> APIRouter:
    """All endpoints, over the gateway's database and keys."""
    api = APIRouter(
        prefix="/admin",
        tags=["administration"],
        dependencies=[SCHEME],
        route_class=route_class(keyring),
    )
    scopes.install(api, engine)
    keys.install(api, engine, settings)
    budgets.install(api, engine, settings)
    limits.install(api, engine, settings)
    spent.install(api, engine, settings)
    labels.install(api, engine, settings.promotion)
    policies.install(api, engine, settings)
    usage.install(api, engine)
    audit.install(api, engine)
    return api
