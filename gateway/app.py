"""The gateway's application: FastAPI for what is asked now and then, a plain ASGI application for model traffic."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from gateway import admin, documentation, models_api, openapi, operations
from gateway.endpoints import ENDPOINTS
from gateway.guard import Guardrails
from gateway.metering.memory_ledger import MemoryLedger
from gateway.metering.step import MeteringStep
from gateway.metrics import Metrics
from gateway.model_traffic import ModelTraffic
from gateway.prompt_cache import PromptCache
from gateway.routing import Routes
from gateway.services import ServiceTraffic
from gateway.usage import Journal, UsageWriter
from gateway.usage.lineage import record_models
from sluice.database import connect
from sluice.home import Home
from sluice.http_errors import install_error_responses
from sluice.identity import Keyring
from sluice.settings import Settings


class GatewayApplication(FastAPI):
    """FastAPI, with the endpoints that carry model traffic answered before its middleware and router.

    Going through them costs as much CPU as all the rest of a request; they stand in the OpenAPI document all the same.
    """

    traffic: ModelTraffic
    services: ServiceTraffic
    keyring: Keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] == "http" and scope["path"] in ENDPOINTS:
            await self.traffic(scope, receive, send)
        elif scope["type"] == "http" and (service := self.services.find(scope["path"])) is not None:
            await self.traffic(scope, receive, send, service)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings) -> GatewayApplication:
    """Put the gateway together; it opens what it needs when it is started (ASGI lifespan).

    Raises:
        ConfigurationError: a route is wrong.
        StateUnavailable: the database cannot be reached, at start.
    """
    gateway = settings.gateway
    engine = connect(settings.database_url)
    keyring = Keyring(engine, gateway.keys)
    prompts = PromptCache(engine, gateway.keys.stale_seconds)
    journal = Journal(Home(settings.platform.home).journal, gateway.usage.segment_bytes)
    usage_writer = UsageWriter(engine, journal, gateway.usage)
    routes = Routes(settings)
    metering = MeteringStep(keyring, engine, usage_writer, MemoryLedger())
    services = ServiceTraffic(settings, keyring)
    metrics = Metrics()
    guardrails = Guardrails(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await guardrails.start()
        await keyring.start()
        await usage_writer.start()
        await asyncio.to_thread(record_models, engine, settings)
        yield
        await routes.close()
        await services.close()
        await usage_writer.stop()
        prompts.close()
        guardrails.stop()
        await keyring.stop()
        engine.dispose()

    app = GatewayApplication(
        title="Sluice gateway", summary="OpenAI's API, metered.", lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.keyring = keyring
    app.services = services
    app.traffic = ModelTraffic(
        keyring, prompts, routes, services, guardrails, metering, usage_writer, metrics, gateway.limits
    )
    app.include_router(models_api.router(keyring, routes))
    app.include_router(operations.router(app.traffic, keyring, usage_writer, metrics, gateway.keys))
    app.include_router(admin.router(engine, keyring, settings))
    install_error_responses(app)
    openapi.install(app)
    documentation.install(app)
    return app
