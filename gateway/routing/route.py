"""What a model's name stands for."""

from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.endpoints import Endpoint, Kind
from gateway.price import Price
from gateway.routing.attempt import attempt
from gateway.routing.choice import Choice
from gateway.routing.dispatch import dispatch
from gateway.routing.prices import dearest
from gateway.routing.retry import Retries
from gateway.routing.shadow import Shadow
from gateway.routing.target import Target
from gateway.upstream import Header, Upstream, UpstreamResponse
from sluice.route_settings import FailureClass

if TYPE_CHECKING:
    from gateway.exchange import Exchange


Tokenizer = tuple[str, Upstream]
"""A model, by the name that its server knows, and the server that counts for it."""


@dataclass(slots=True)
class Plan:
    """What a route does beyond asking its one upstream.

    Attributes:
        has_alternatives: whether it matters to the client which upstream answered.
        followed: how often a fallback was, by reason and route.
    """

    choice: Choice
    retries: Retries | None = None
    has_alternatives: bool = False
    fallbacks: "dict[FailureClass, tuple[Route, ...]]" = field(default_factory=dict[FailureClass, "tuple[Route, ...]"])
    shadow: Shadow | None = None
    followed: dict[tuple[FailureClass, str], int] = field(default_factory=dict[tuple[FailureClass, str], int])

    def follow(self, reason: FailureClass | None) -> "Iterator[Route]":
        """The routes to try after a failure of this class, one after the other."""
        if reason is None:
            return
        for fallback in self.fallbacks.get(reason, ()):
            self.followed[reason, fallback.name] = self.followed.get((reason, fallback.name), 0) + 1
            yield fallback


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A model name that clients ask for.

    Attributes:
        targets: its upstreams, at least one.
        total_seconds: the most that an answer may take, with all attempts.
        plan: None where there is one upstream and nothing to do if it fails.
        upstream_model: the name the first upstream knows the model by, where it differs.
        kind: what the model can do; None where only the upstream knows.
        context: tokens of prompt and answer together: the least of its upstreams, None where one's is not known.
        reach: the same, but the most of all upstreams that may answer, fallbacks' too.
        tokenizers: where tokens are counted, one for each model that may answer: vLLM's `/tokenize` lies above /v1.
            Empty where one of them does not count.
        is_service: one of the platform's own services answers, which gets the caller's key.
    """

    name: str
    targets: tuple[Target, ...]
    total_seconds: float
    plan: Plan | None = None
    upstream_model: str | None = None
    kind: Kind | None = None
    context: int | None = None
    reach: int | None = None
    tokenizers: tuple[Tokenizer, ...] = ()
    is_service: bool = False

    def send(
        self, exchange: "Exchange", endpoint: Endpoint, body: bytes, headers: Sequence[Header]
    ) -> Awaitable[UpstreamResponse]:
        """Ask, by all the ways the route knows, and return when the answer has begun. Whoever waits may be cancelled.

        Raises:
            SluiceError: there is no answer.
        """
        exchange.total_seconds = self.total_seconds
        if self.plan is None:
            exchange.target = target = self.targets[0]
            return attempt(target, endpoint, body, headers)
        return dispatch(self, exchange, endpoint, body, headers)

    def any_target(self, endpoint: Endpoint) -> Target | None:
        """An upstream for a request that belongs to no key."""
        if self.plan is None:
            return self.targets[0] if self.targets[0].serves(endpoint) else None
        return self.plan.choice.pick("", lambda target: target.serves(endpoint) and not target.is_open)


def price_of(route: Route) -> Price | None:
    """The most that a call of this route can cost, whichever upstream answers; None where one has no price that is known."""
    reached = (
        [route, *(other for others in route.plan.fallbacks.values() for other in others)] if route.plan else [route]
    )
    return dearest(target.price for one in reached for target in one.targets)
