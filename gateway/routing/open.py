"""Opening the routes that the settings name; nothing connects before the first request."""

import os
from collections.abc import Callable
from functools import partial

from gateway.endpoints import Kind
from gateway.routing.breaker import Breaker
from gateway.routing.choice import Chance, Choice
from gateway.routing.prices import FREE, open_price
from gateway.routing.retry import Retries, RetryBudget
from gateway.routing.route import Plan, Route, Tokenizer
from gateway.routing.shadow import Shadow
from gateway.routing.target import Target
from gateway.services import open_services
from gateway.upstream import Upstream, open_upstream
from gateway.upstream.provider import ProviderUpstream
from sluice.errors import ConfigurationError
from sluice.identity.keys import PREFIX
from sluice.route_settings import BreakerSettings, PriceSettings, RouteSettings, TargetSettings, TimeoutSettings
from sluice.settings import ModelSettings, Settings, UpstreamSettings

PROVIDERS_SERVE = ("chat.completions",)


def open_routes(settings: Settings) -> tuple[dict[str, Route], list[Upstream]]:
    """All routes by name, and the clients behind them, to be closed.

    Raises:
        ConfigurationError: a route's key is not in the environment, or its price not in the map.
    """
    opening = _Opening(settings)
    routes = {name: opening.model(name, model) for name, model in settings.models.items()}
    routes |= {name: opening.route(name, route) for name, route in settings.routes.items()}
    for service, upstream in opening.services.items():
        for name in settings.services[service].models:
            target = Target(service, upstream, name, settings.gateway.upstream.first_byte_seconds)
            total = settings.gateway.upstream.total_seconds
            routes[name] = Route(name, (target,), total, kind="chat", is_service=True)
    for name, route in settings.routes.items():
        opening.lead_on(routes[name], route, routes)
    return routes, opening.clients


class _Opening:
    """What routes share while they are opened: a client for each server, a breaker for each upstream."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = settings.gateway.upstream
        self._clients: dict[object, Upstream] = {}
        self._breakers = {name: Breaker(name, breaker) for name, breaker in _breaker_settings(settings.routes).items()}
        self.services = open_services(settings, "/v1")

    @property
    def clients(self) -> list[Upstream]:
        """Everything that was opened."""
        return [*self._clients.values(), *self.services.values()]

    def model(self, name: str, model: ModelSettings) -> Route:
        """A model that Sluice serves itself."""
        return Route(
            name,
            (self._served(name, self._limits, None, f"models.{name}"),),
            self._limits.total_seconds,
            kind=model.kind,
            context=model.context,
            reach=model.context,
            tokenizers=self._tokenizers([(name, TargetSettings(serves=name))]),
        )

    def route(self, name: str, route: RouteSettings) -> Route:
        """A route, without the others that it leads to."""
        limits = _limits(self._limits, route.timeouts)
        targets = tuple(self._target(name, target, route.price, limits, f"routes.{name}") for target in route.targets)
        plan = None
        if route.has_alternatives or route.retries is not None or route.shadow is not None:
            chances = [
                Chance(target, one.weight, one.canary) for target, one in zip(targets, route.targets, strict=True)
            ]
            plan = Plan(Choice(name, chances), has_alternatives=route.has_alternatives)
            if (retries := route.retrying) is not None:
                plan.retries = Retries(retries, RetryBudget(retries.budget))
        reached = self._reached(name, route)
        return Route(
            name,
            targets,
            limits.total_seconds,
            plan,
            upstream_model=None if targets[0].model == name else targets[0].model,
            kind=next((kind for target in route.targets if (kind := self._kind(target))), None),
            context=_of_all(min, [self._context(target) for target in route.targets]),
            reach=_of_all(max, [self._context(target) for _, target in reached]),
            tokenizers=self._tokenizers(reached),
        )

    def lead_on(self, opened: Route, route: RouteSettings, routes: dict[str, Route]) -> None:
        """Tell an open route of the others that it leads to."""
        if opened.plan is None:
            return
        for failure, names in route.fallbacks.items():
            opened.plan.fallbacks[failure] = tuple(routes[name] for name in names)
        if route.shadow is not None:
            opened.plan.shadow = Shadow(route.shadow, routes[route.shadow.route], opened.targets[0].model)

    def _target(
        self, route: str, target: TargetSettings, price: PriceSettings | None, limits: UpstreamSettings, key: str
    ) -> Target:
        price = target.price or price
        if target.serves is not None:
            return self._served(target.serves, limits, price, key)
        assert target.url is not None
        name, model = target.shown_name(route), _model(route, target)
        return Target(
            name,
            self._client(target, limits, target.url, key),
            model,
            limits.first_byte_seconds,
            PROVIDERS_SERVE if target.provider else (),
            self._breakers.get(name),
            open_price(price, target.provider, model, key),
        )

    def _served(self, name: str, limits: UpstreamSettings, price: PriceSettings | None, key: str) -> Target:
        model = self._settings.models[name]
        client = self._open((name, limits), partial(open_upstream, f"{_origin(model)}/v1", limits))
        priced = open_price(price or model.price, None, name, key) or FREE
        return Target(name, client, name, limits.first_byte_seconds, (), self._breakers.get(name), priced)

    def _client(self, target: TargetSettings, limits: UpstreamSettings, url: str, key: str) -> Upstream:
        same = (target.provider, url, target.api_key_env, limits)
        api_key = _api_key(key, target.api_key_env)
        if target.provider is not None:
            return self._open(same, partial(ProviderUpstream, target.provider, url, limits, api_key))
        return self._open(same, partial(open_upstream, url, limits, api_key=api_key))

    def _kind(self, target: TargetSettings) -> Kind | None:
        if target.serves is not None:
            return self._settings.models[target.serves].kind
        return "chat" if target.provider is not None else None

    def _context(self, target: TargetSettings) -> int | None:
        return None if target.serves is None else self._settings.models[target.serves].context

    def _tokenizers(self, reached: list[tuple[str, TargetSettings]]) -> tuple[Tokenizer, ...]:
        """One for each model that may answer; none where one of them has none, since it may count otherwise."""
        found = {_model(*one): self._tokenizer(*one) for one in reversed(reached)}  # the first of a name counts
        known = [(model, tokenizer) for model, tokenizer in found.items() if tokenizer is not None]
        return tuple(known) if len(known) == len(found) else ()

    def _tokenizer(self, route: str, target: TargetSettings) -> Upstream | None:
        if target.serves is not None:
            return self._tokenizer_of_model(target.serves)
        if target.provider is not None or target.url is None:
            return None
        return self._client(target, self._limits, target.url.removesuffix("/v1"), f"routes.{route}")

    def _tokenizer_of_model(self, name: str) -> Upstream | None:
        model = self._settings.models[name]
        if model.kind != "chat":
            return None
        return self._open(("tokenizer", name), partial(open_upstream, _origin(model), self._limits))

    def _reached(self, name: str, route: RouteSettings) -> list[tuple[str, TargetSettings]]:
        """All upstreams that may answer: the route's own and its fallbacks', each with the route it stands in."""
        reached = [(name, target) for target in route.targets]
        for _, others in route.fallbacks.items():
            for other in others:
                known = self._settings.routes.get(other)
                targets = known.targets if known else (TargetSettings(serves=other),)
                reached += [(other, target) for target in targets]
        return reached

    def _open(self, same: object, opening: Callable[[], Upstream]) -> Upstream:
        if same not in self._clients:
            self._clients[same] = opening()
        return self._clients[same]


def _breaker_settings(routes: dict[str, RouteSettings]) -> dict[str, BreakerSettings]:
    """For each upstream that has a breaker: what a route says of it, else the default where a route has alternatives."""
    chosen: dict[str, BreakerSettings] = {}
    for name, route in routes.items():
        for target in route.targets:
            if route.breaker is not None:
                chosen[target.shown_name(name)] = route.breaker
            elif route.has_alternatives:
                chosen.setdefault(target.shown_name(name), BreakerSettings())
    return chosen


def _limits(limits: UpstreamSettings, timeouts: TimeoutSettings) -> UpstreamSettings:
    """The gateway's limits with what one route says otherwise."""
    chosen = {
        "connect_seconds": timeouts.connect_seconds,
        "first_byte_seconds": timeouts.first_token_seconds,
        "idle_seconds": timeouts.between_tokens_seconds,
        "total_seconds": timeouts.total_seconds,
    }
    return limits.model_copy(update={name: seconds for name, seconds in chosen.items() if seconds is not None})


def _of_all(pick: Callable[[list[int]], int], contexts: list[int | None]) -> int | None:
    known = [context for context in contexts if context is not None]
    return pick(known) if len(known) == len(contexts) else None


def _model(route: str, target: TargetSettings) -> str:
    """The name by which an upstream of a route is asked."""
    return target.serves or target.model or route


def _origin(model: ModelSettings) -> str:
    return f"http://127.0.0.1:{model.port}"


def _api_key(route: str, variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise ConfigurationError(f"{route}.api_key_env: the variable {variable} is not set.", fix=f"Export {variable}.")
    if key.startswith(PREFIX):
        raise ConfigurationError(
            f"{route}.api_key_env: {variable} holds a key of Sluice itself, which must not be sent elsewhere.",
            fix="Name a variable with the other server's key; dev.env sets OPENAI_API_KEY.",
        )
    return key
