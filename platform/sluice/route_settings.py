"""`routes:`, model names that one upstream or several answer, and what happens when one of them fails."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from sluice.section import Count, HttpUrl, Seconds, Section, Share

FailureClass = Literal["unavailable", "rate_limited", "too_long", "refused_content"]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class PriceSettings(Section):
    """`price:`, money for a million tokens, or `map`: as LiteLLM's price map has it.

    Attributes:
        cached: of prompt tokens that came from a cache, which cost as much as others unless it is said.
    """

    input: Amount = 0
    output: Amount = 0
    cached: Amount | None = None
    map: bool = False

    @model_validator(mode="before")
    @classmethod
    def _by_map(cls, given: Any) -> Any:
        if given == "map":
            return {"map": True}
        if not isinstance(given, Mapping) or not given:
            raise ValueError("expected amounts such as {input: 0.25, output: 2}, or map")
        return cast("Mapping[str, Any]", given)

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.map and (self.input or self.output or self.cached is not None):
            raise ValueError("expected amounts or map, not both")
        return self


class PlaceSettings(Section):
    """Where an upstream is.

    Attributes:
        serves: the model under `models:` that answers; else `url`, a server elsewhere.
        provider: LiteLLM's name of the API that server speaks, such as `anthropic`, where that is not OpenAI's.
        model: the name that server knows the model by, where it is not the route's.
        api_key_env: the variable that holds the server's key.
        name: what headers, metrics and errors call this upstream; by default the model and the server's address.
    """

    serves: str | None = None
    url: HttpUrl | None = None
    provider: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    name: str | None = None


class TargetSettings(PlaceSettings):
    """An item of `routes.<name>.upstreams:`.

    Attributes:
        weight: its share of the requests beside the others' weights; 0: none.
        canary: instead of a weight, percent of the keys whose requests go here.
    """

    price: PriceSettings | None = None
    weight: Weight = 1
    canary: Percent | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.serves is None) == (self.url is None):
            raise ValueError("expected exactly one of serves, url")
        if self.serves is not None and self.model_fields_set & {"provider", "model", "api_key_env", "name"}:
            raise ValueError("with serves, the model's own section says provider, model, api_key_env and name")
        if self.canary is not None and "weight" in self.model_fields_set:
            raise ValueError("expected a weight or a canary share, not both")
        return self

    def shown_name(self, route: str) -> str:
        """The upstream's name; upstreams with the same name are the same, also in different routes."""
        if self.url is None:
            return self.serves or ""
        return self.name or f"{self.model or route}@{urlsplit(self.url).netloc.rpartition('@')[2]}"


class TimeoutSettings(Section):
    """`timeouts:`, how long this route waits; what is left out is as in `gateway.upstream`."""

    connect_seconds: Seconds | None = None
    first_token_seconds: Seconds | None = None
    between_tokens_seconds: Seconds | None = None
    total_seconds: Seconds | None = None


class RetrySettings(Section):
    """`retries:`, further attempts within the route after a failure that cost nothing.

    Attributes:
        attempts: after the first one.
        backoff_seconds: before the same upstream is asked again, up to this long; doubled each time.
        budget: retries as a share of the route's requests of the last ten seconds.
        after_work: also after failures that may have cost tokens.
    """

    attempts: Annotated[int, Field(ge=0, le=10)] = 2
    backoff_seconds: Seconds = 0.1
    budget: Share = 0.2
    after_work: bool = False


class BreakerSettings(Section):
    """`breaker:`, when an upstream that fails is left alone.

    Attributes:
        failures: so many without a success between them...
        window_seconds: ...within this time open the circuit.
        open_seconds: then nothing is sent for this long.
        probes: requests at once that try whether it works again; so many successes close the circuit.
    """

    failures: Count = 5
    window_seconds: Seconds = 30
    open_seconds: Seconds = 10
    probes: Count = 1


class FallbackSettings(Section):
    """`fallbacks:`, by what went wrong, the routes to try instead."""

    unavailable: tuple[str, ...] = ()
    rate_limited: tuple[str, ...] = ()
    too_long: tuple[str, ...] = ()
    refused_content: tuple[str, ...] = ()

    def items(self) -> list[tuple[FailureClass, tuple[str, ...]]]:
        """The routes for each class that has some."""
        named: list[tuple[FailureClass, tuple[str, ...]]] = [
            ("unavailable", self.unavailable),
            ("rate_limited", self.rate_limited),
            ("too_long", self.too_long),
            ("refused_content", self.refused_content),
        ]
        return [(failure, routes) for failure, routes in named if routes]


class ShadowSettings(Section):
    """`shadow:`, another route that gets a copy of a share of the requests; what it answers is thrown away.

    Attributes:
        at_once: copies on their way at once; further ones are left out.
    """

    route: str
    share: Share
    at_once: Count = 8


class RouteSettings(PlaceSettings):
    """`routes.<name>:`, a model name that clients ask for: one upstream written here, or a list as `upstreams`.

    Attributes:
        breaker: of each of its upstreams; by default only where there is something else to try.
        retries: by default only where there are several upstreams.
    """

    upstreams: tuple[TargetSettings, ...] = ()
    price: PriceSettings | None = None
    timeouts: TimeoutSettings = TimeoutSettings()
    retries: RetrySettings | None = None
    breaker: BreakerSettings | None = None
    fallbacks: FallbackSettings = FallbackSettings()
    shadow: ShadowSettings | None = None

    @model_validator(mode="after")
    def _has_upstreams(self) -> Self:
        written = self._written()
        if written and "upstreams" in self.model_fields_set:
            raise ValueError(f"expected {min(written)} or upstreams, not both")
        if not written and not self.upstreams:
            raise ValueError("a route needs an upstream: expected serves, url or upstreams")
        if written:
            TargetSettings.model_validate(written)
        targets = self.targets
        if sum(target.canary or 0 for target in targets) > 100:
            raise ValueError("the canary shares come to more than 100 percent")
        if not any(target.weight for target in targets if target.canary is None):
            raise ValueError("no upstream has a weight above zero, for the requests that are no canary's")
        return self

    @property
    def targets(self) -> tuple[TargetSettings, ...]:
        """Its upstreams, in either form."""
        return self.upstreams or (TargetSettings.model_validate(self._written()),)

    @property
    def has_alternatives(self) -> bool:
        """Whether a request can go elsewhere when an upstream is down."""
        return len(self.targets) > 1 or bool(self.fallbacks.items())

    @property
    def retrying(self) -> RetrySettings | None:
        """The retries that apply."""
        return self.retries or (RetrySettings() if len(self.targets) > 1 else None)

    def _written(self) -> dict[str, str]:
        return {name: value for name in PlaceSettings.model_fields if (value := getattr(self, name)) is not None}


def conflicts_of_routes(routes: Mapping[str, RouteSettings], kinds: Mapping[str, str]) -> Iterator[str]:
    """What is wrong between several routes, each a sentence that begins with the key.

    Args:
        kinds: what each model under `models:` does.
    """
    for name, route in routes.items():
        for place, target in enumerate(route.targets):
            if target.serves is not None and target.serves not in kinds:
                key = f"upstreams.{place}.serves" if route.upstreams else "serves"
                yield f"routes.{name}.{key}: there is no model '{target.serves}' under models"
        if len(_kinds_of(route, kinds)) > 1:
            yield f"routes.{name}.upstreams: one makes embeddings and another writes text"
    for name, route in routes.items():
        for key, other in _references(route):
            if other not in routes and other not in kinds:
                yield f"routes.{name}.{key}: there is no route or model '{other}'"
                continue
            if other == name:
                yield f"routes.{name}.{key}: '{other}' is this route itself"
                continue
            does, needs = _does(other, routes, kinds), _does(name, routes, kinds)
            if does and needs and does != needs:
                yield f"routes.{name}.{key}: '{other}' does something else (it is of kind {does})"
    yield from _loops(routes)
    yield from _ambiguities(routes, kinds)


def _references(route: RouteSettings) -> Iterator[tuple[str, str]]:
    """Each key that names another route, and the route."""
    for failure, others in route.fallbacks.items():
        for other in others:
            yield f"fallbacks.{failure}", other
    if route.shadow is not None:
        yield "shadow.route", route.shadow.route


def _kinds_of(route: RouteSettings, kinds: Mapping[str, str]) -> set[str]:
    """What its upstreams do, where that is known; a provider is asked for text alone."""
    served = {kinds[name] for target in route.targets if (name := target.serves) is not None and name in kinds}
    return served | {"chat" for target in route.targets if target.provider is not None}


def _does(name: str, routes: Mapping[str, RouteSettings], kinds: Mapping[str, str]) -> str | None:
    known = {kinds[name]} if name in kinds else _kinds_of(routes[name], kinds)
    return next(iter(known), None)


def _loops(routes: Mapping[str, RouteSettings]) -> Iterator[str]:
    leads_to = {
        name: {other for _, others in route.fallbacks.items() for other in others} for name, route in routes.items()
    }
    for start in routes:
        reached: set[str] = set()
        further = {start}
        while further := {there for name in further for there in leads_to.get(name, ())} - reached:
            reached |= further
        if start in reached:
            yield f"routes.{start}.fallbacks: they lead back to '{start}', expected no loop"


def _ambiguities(routes: Mapping[str, RouteSettings], kinds: Mapping[str, str]) -> Iterator[str]:
    """One name of an upstream must mean one server, with one breaker."""
    places: dict[str, tuple[str | None, ...]] = dict.fromkeys(kinds, (None,) * 4)
    breakers: dict[str, tuple[str, BreakerSettings]] = {}
    for name, route in routes.items():
        names = [target.shown_name(name) for target in route.targets]
        if len(set(names)) < len(names):
            yield f"routes.{name}.upstreams: '{max(names, key=names.count)}' stands there twice"
        for shown, target in zip(names, route.targets, strict=True):
            place = (target.url, target.provider, target.url and (target.model or name), target.api_key_env)
            if places.setdefault(shown, place) != place:
                yield f"routes.{name}: another upstream is called '{shown}' too, expected a name of its own"
            if route.breaker is not None and breakers.setdefault(shown, (name, route.breaker))[1] != route.breaker:
                yield f"routes.{name}.breaker: upstream '{shown}' has another breaker in routes.{breakers[shown][0]}"
