"""`/health/live`, `/health/ready`, `/metrics`: for those who run the gateway."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gateway.metrics import Metrics
from gateway.model_traffic import ModelTraffic
from gateway.router_metrics import RouterMetrics
from gateway.routing import Routes
from sluice.identity import Keyring
from sluice.settings import KeySettings


def router(
    traffic: ModelTraffic,
    keyring: Keyring,
    routes: Routes,
    metrics: Metrics,
    router_metrics: RouterMetrics,
    keys: KeySettings,
) -> APIRouter:
    """The operators' endpoints; they need no key and tell nothing of any request."""
    api = APIRouter(tags=["operations"])
    registry = CollectorRegistry()
    registry.register(metrics)
    registry.register(routes.metrics)
    registry.register(router_metrics)
    metrics.gauges += [
        ("sluice_open_requests", "Requests being answered.", lambda: len(traffic.open)),
        ("sluice_keys_age_seconds", "Since keys were last read from the database.", lambda: keyring.age),
    ]

    @api.get("/health", include_in_schema=False)
    @api.get("/health/live")
    async def live() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        return {"status": "live"}

    @api.get("/health/ready")
    async def ready(response: Response) -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """Whether to send requests here: not while stopping, nor with keys older than may be used."""
        if traffic.stopping:
            status = "stopping"
        elif keyring.age > keys.stale_seconds:
            status = "database lost"
        else:
            return {"status": "ready"}
        response.status_code = 503
        return {"status": status}

    @api.get("/metrics")
    async def prometheus() -> Response:  # pyright: ignore[reportUnusedFunction]
        await router_metrics.fetch()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return api
