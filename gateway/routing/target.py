"""One upstream as a route uses it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.endpoints import Endpoint
from gateway.price import Price
from gateway.routing.breaker import Breaker
from gateway.routing.failure import class_of, is_the_upstreams
from gateway.upstream import Upstream
from sluice.errors import SluiceError

OUTCOMES = ("ok", "unavailable", "rate_limited", "too_long", "refused_content", "refused", "broke_off", "cancelled")


def _nothing() -> dict[str, int]:
    return dict.fromkeys(OUTCOMES, 0)


@dataclass(slots=True, eq=False)
class Target:
    """An upstream with what the route knows of it.

    Attributes:
        name: for headers, metrics and errors; the same server and model has the same name in all routes.
        model: the name it knows the model by.
        endpoints: names of those it serves; empty: all.
        breaker: shared by all routes that use this upstream.
        outcomes: how its requests ended.
        header: the name as a header's value, which takes no other characters.
    """

    name: str
    upstream: Upstream
    model: str
    first_token_seconds: float
    endpoints: Sequence[str] = ()
    breaker: Breaker | None = None
    price: Price | None = None
    outcomes: dict[str, int] = field(default_factory=_nothing)
    header: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.header = "".join(one if one.isascii() and one.isprintable() else "?" for one in self.name).encode()

    @property
    def is_open(self) -> bool:
        """Whether its circuit lets nothing through now."""
        return self.breaker is not None and not self.breaker.allows

    def serves(self, endpoint: Endpoint) -> bool:
        """Whether it can be asked there at all."""
        return not self.endpoints or endpoint.name in self.endpoints

    def enter(self) -> int:
        """Begin a request; the permit is for what follows.

        Raises:
            CircuitOpen: nothing is sent there now.
        """
        return 0 if self.breaker is None else self.breaker.enter()

    def succeeded(self, permit: int) -> None:
        """It has begun to answer."""
        self.outcomes["ok"] += 1
        if self.breaker is not None:
            self.breaker.succeeded(permit)

    def failed(self, permit: int, error: SluiceError) -> None:
        """The request ended with this error instead of an answer."""
        self.outcomes[class_of(error) or "refused"] += 1
        if self.breaker is None:
            return
        if is_the_upstreams(error):
            self.breaker.failed(permit)
        else:
            self.breaker.left(permit)

    def completed(self) -> None:
        """An answer that had begun came to its end."""
        if self.breaker is not None:
            self.breaker.completed()

    def broke_off(self) -> None:
        """An answer that had begun did not come to its end."""
        self.outcomes["broke_off"] += 1
        if self.breaker is not None:
            self.breaker.broke_off()

    def cancelled(self, permit: int) -> None:
        """Nobody waits any more."""
        self.outcomes["cancelled"] += 1
        if self.breaker is not None:
            self.breaker.left(permit)
