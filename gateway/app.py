"""The gateway's application: FastAPI for what is asked now and then, model traffic straight from the connection."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from gateway import admin, documentation, models_api, openapi, operations
from gateway.asgi import answer_by_asgi
from gateway.cache.step import ResponseCache
from gateway.endpoints import ENDPOINTS
from gateway.guard import Guardrails
from gateway.kept.bodies import Bodies
from gateway.metering.lease_journal import LeaseJournal
from gateway.metering.lease_recovery import LeaseRecovery
from gateway.metering.memory_ledger import MemoryLedger
from gateway.metering.redis_ledger import RedisLedger
from gateway.metering.step import MeteringStep
from gateway.metrics import Metrics
from gateway.model_traffic import ModelTraffic
from gateway.prompt_cache import PromptCache
from gateway.request import Request
from gateway.router_metrics import RouterMetrics
from gateway.routing import Routes
from gateway.services import ServiceTraffic
from gateway.telemetry.telemetry import Telemetry
from gateway.usage import Journal, UsageWriter
from gateway.usage.lineage import record_models
from sluice.database import connect
from sluice.http_errors import install_error_responses
from sluice.identity import Keyring
from sluice.settings import Settings


class GatewayApplication(FastAPI):
    """FastAPI, and beside it the traffic that goes past its middleware and router.

    Going through them costs as much CPU as all the rest of a request; the endpoints stand in the OpenAPI document all
    the same.
    """

    traffic: ModelTraffic
    services: ServiceTraffic
    keyring: Keyring
    metrics: Metrics

    def answer(self, request: Request) -> Coroutine[Any, Any, None]:
        """What answers a request."""
        endpoint = ENDPOINTS.get(request.path)
        if endpoint is not None:
            return self.traffic(request, endpoint)
        service = self.services.find(request.path)
        if service is not None:
            return self.traffic(request, service.endpoint, service)
        return answer_by_asgi(self, request)


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
    home = settings.home
    journal = Journal(home.journal, gateway.usage.segment_bytes)
    usage_writer = UsageWriter(engine, journal, gateway.usage)
    routes = Routes(settings)
    leases = LeaseJournal(home.leases, journal.owner)
    shared = RedisLedger(settings.redis, leases, usage_writer.flush) if settings.redis.url else None
    metering = MeteringStep(keyring, engine, usage_writer, shared or MemoryLedger(), leases)
    recovery = LeaseRecovery(leases, journal, usage_writer, engine, shared and shared.settle)
    cache = ResponseCache(settings) if settings.cache.enabled else None
    metrics = Metrics()
    router_metrics = RouterMetrics(settings)
    telemetry = Telemetry(settings, metrics)
    bodies = Bodies(engine, settings.telemetry.held_body_bytes, gateway.usage.flush_seconds)
    services = ServiceTraffic(settings, keyring, telemetry)
    guardrails = Guardrails(settings, metrics, bodies)
    for part in (usage_writer, leases, shared, cache, bodies):
        if part is not None:
            metrics.gauges += part.gauges()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await guardrails.start()
        await keyring.start()
        await usage_writer.start()
        if shared is not None:
            await shared.start()
        await recovery.start()
        await telemetry.start()
        bodies.start()
        if cache is not None:
            await cache.start()
        await asyncio.to_thread(record_models, engine, settings)
        yield
        await app.traffic.close()
        await routes.close()
        await services.close()
        if cache is not None:
            await cache.close()
        await recovery.stop()
        await metering.ledger.close()
        await router_metrics.close()
        await usage_writer.stop()
        leases.close()
        await bodies.stop()
        await telemetry.stop()
        prompts.close()
        guardrails.stop()
        await keyring.stop()
        engine.dispose()

    app = GatewayApplication(
        title="Sluice gateway", summary="OpenAI's API, metered.", lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.keyring = keyring
    app.metrics = metrics
    app.services = services
    app.traffic = ModelTraffic(
        keyring, prompts, routes, services, guardrails, cache, metering, usage_writer, metrics, telemetry
    )
    app.include_router(models_api.router(keyring, routes))
    app.include_router(operations.router(app.traffic, keyring, routes, metrics, router_metrics, gateway.keys))
    app.include_router(admin.router(engine, keyring, settings))
    install_error_responses(app)
    openapi.install(app)
    documentation.install(app)
    return app
