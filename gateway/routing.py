"""From a model's name to the upstream that answers it."""

import os
from dataclasses import dataclass

from gateway.endpoints import Endpoint, Kind
from gateway.price import Price
from gateway.services import open_services
from gateway.upstream import Upstream, open_upstream
from gateway.upstream.provider import ProviderUpstream
from sluice.errors import ConfigurationError, InvalidRequest, NotFound
from sluice.identity import Identity
from sluice.identity.keys import PREFIX
from sluice.settings import RouteSettings, Settings, UpstreamSettings


@dataclass(frozen=True, slots=True)
class Route:
    """A model name that clients ask for.

    Attributes:
        upstream_model: the name the upstream knows the model by, where it differs.
        kind: what the model can do; None where only the upstream knows.
        context: tokens of prompt and answer together, where known.
        tokenizer: where the upstream counts tokens, if it does: vLLM's `/tokenize` lies above /v1.
        price: what its tokens cost; None where nobody knows.
        is_service: one of the platform's own services answers, which gets the caller's key.
    """

    name: str
    upstream: Upstream
    upstream_model: str | None = None
    kind: Kind | None = None
    context: int | None = None
    tokenizer: Upstream | None = None
    price: Price | None = None
    is_service: bool = False


class Routes:
    """All model names of a deployment, with an open upstream for each."""

    def __init__(self, settings: Settings) -> None:
        """Open the upstreams; nothing connects before the first request.

        Raises:
            ConfigurationError: a route's key is not in the environment.
        """
        limits = settings.gateway.upstream
        self._routes: dict[str, Route] = {}
        for name, model in settings.models.items():
            origin = f"http://127.0.0.1:{model.port}"
            self._routes[name] = Route(
                name,
                open_upstream(f"{origin}/v1", limits),
                kind=model.kind,
                context=model.context,
                tokenizer=open_upstream(origin, limits) if model.kind == "chat" else None,
            )
        for name, route in settings.routes.items():
            self._routes[name] = _open_route(name, route, limits)
        for service, upstream in open_services(settings, "/v1").items():
            for name in settings.services[service].models:
                self._routes[name] = Route(name, upstream, kind="chat", is_service=True)

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
        """Close every upstream's connections."""
        for route in self._routes.values():
            await route.upstream.close()
            if route.tokenizer is not None:
                await route.tokenizer.close()


def _open_route(name: str, route: RouteSettings, limits: UpstreamSettings) -> Route:
    api_key = _api_key(name, route.api_key_env)
    if route.provider is None:
        upstream = open_upstream(route.url, limits, api_key=api_key)
        tokenizer = open_upstream(route.url.removesuffix("/v1"), limits, api_key=api_key)
        return Route(name, upstream, upstream_model=route.model, tokenizer=tokenizer)
    upstream = ProviderUpstream(route.provider, route.url, limits, api_key)
    return Route(name, upstream, upstream_model=route.model, kind="chat")


def _api_key(route: str, variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise ConfigurationError(
            f"routes.{route}.api_key_env: the variable {variable} is not set.", fix=f"Export {variable}."
        )
    if key.startswith(PREFIX):
        raise ConfigurationError(
            f"routes.{route}.api_key_env: {variable} holds a key of Sluice itself, which must not be sent elsewhere.",
            fix="Name a variable with the other server's key; dev.env sets OPENAI_API_KEY.",
        )
    return key
