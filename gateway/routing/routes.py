"""All model names of a deployment."""

from gateway.endpoints import Endpoint
from gateway.routing.metrics import RoutingMetrics
from gateway.routing.open import open_routes
from gateway.routing.route import Route
from sluice.errors import InvalidRequest, NotFound
from sluice.identity import Identity
from sluice.settings import Settings


class Routes:
    """All model names of a deployment, with an open upstream for each.

    Attributes:
        metrics: what they count.
    """

    def __init__(self, settings: Settings) -> None:
        """Open the upstreams; nothing connects before the first request.

        Raises:
            ConfigurationError: a route's key is not in the environment, or its price not in the map.
        """
        self._routes, self._clients = open_routes(settings)
        self.metrics = RoutingMetrics(list(self._routes.values()))

    def find(self, name: str, identity: Identity, endpoint: Endpoint) -> Route:
        """The route for a model that this identity may use on this endpoint.

        Raises:
            NotFound: there is no such model, or not for this key; the answer does not say which.
            InvalidRequest: the model does something else, embeddings for instance.
        """
        route = self.visible(name, identity)
        if route.kind is not None and route.kind != endpoint.kind:
            does = "makes embeddings" if route.kind == "embedding" else "writes text"
            raise InvalidRequest(f"The model '{name}' {does}; it does not serve {endpoint.path}.", param="model")
        return route

    def visible(self, name: str, identity: Identity) -> Route:
        """The route of that name, if this identity may use it.

        Raises:
            NotFound: there is no such model, or not for this key.
        """
        route = self._routes.get(name)
        if route is None or not identity.may_use(name):
            shown = name if len(name) <= 100 else f"{name[:100]}…"
            raise NotFound(
                f"The model '{shown}' does not exist or you do not have access to it.",
                param="model",
                code="model_not_found",
            )
        return route

    def visible_to(self, identity: Identity) -> list[Route]:
        """Every route this identity may use."""
        return [route for name, route in self._routes.items() if identity.may_use(name)]

    async def close(self) -> None:
        """End what runs in the background, and close every upstream's connections."""
        for route in self._routes.values():
            if route.plan is not None and route.plan.shadow is not None:
                await route.plan.shadow.close()
        for client in self._clients:
            await client.close()
