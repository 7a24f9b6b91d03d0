"""`/v1/models`: what this key may ask for."""

import time
from typing import Any

from fastapi import APIRouter, Request

from gateway.request import read_head
from gateway.routing import Route, Routes
from sluice.identity import Identity, Keyring


def router(keyring: Keyring, routes: Routes) -> APIRouter:
    """The two endpoints, over the gateway's keys and routes."""
    api = APIRouter(tags=["models"])
    started = int(time.time())

    async def identify(request: Request) -> Identity:
        token, _, _ = read_head(request.scope["headers"])
        return await keyring.authenticate(token)

    def describe(route: Route) -> dict[str, Any]:
        model: dict[str, Any] = {"id": route.name, "object": "model", "created": started, "owned_by": "sluice"}
        if route.context is not None:
            model["max_model_len"] = route.context
        return model

    @api.get("/v1/models")
    async def list_models(request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        identity = await identify(request)
        return {"object": "list", "data": [describe(route) for route in routes.visible_to(identity)]}

    @api.get("/v1/models/{model:path}")
    async def retrieve_model(model: str, request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return describe(routes.visible(model, await identify(request)))

    return api
