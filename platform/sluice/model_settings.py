"""`models:`, what Sluice serves itself: each from where, on which ports, in how many replicas."""

from typing import Literal, Self

from pydantic import model_validator

from sluice.route_settings import PriceSettings
from sluice.router_settings import RouterSettings
from sluice.section import Count, HomePath, Port, Seconds, Section


class Source(Section):
    """Where a model comes from: exactly one of a hub id, a local folder, or a package that carries it."""

    hub: str | None = None
    path: HomePath | None = None
    package: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.hub, self.path, self.package)) != 1:
            raise ValueError("expected exactly one of hub, path, package")
        return self

    def __str__(self) -> str:
        return self.hub or self.package or str(self.path)


class ModelSettings(Section):
    """`models.<name>:`, one model that Sluice serves itself; its name is the route clients ask for."""

    kind: Literal["chat", "embedding"] = "chat"
    source: Source
    port: Port
    context: Count | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    replicas: Count = 1
    router: RouterSettings = RouterSettings()
    eager: bool = True
    kv_cache_gib: Count = 1
    start_seconds: Seconds = 900
    arguments: tuple[str, ...] = ()
    price: PriceSettings | None = None

    @model_validator(mode="after")
    def _one_place_of_replicas(self) -> Self:
        if self.kind == "embedding" and self.replicas > 1:
            raise ValueError("an embedding model runs in one process: expected replicas: 1")
        if self.router.is_elsewhere and self.replicas > 1:
            raise ValueError("'router' says that the replicas run elsewhere: expected no replicas of Sluice's own")
        if self.publishes_kv_events and any(argument.startswith("--block-size") for argument in self.arguments):
            raise ValueError(
                "--block-size stands in arguments: expected router.kv_block_size, which the router reads too"
            )
        if ports_of(self).stop > 65536:
            raise ValueError(f"the ports after {self.port} do not suffice for {self.replicas} replicas")
        return self

    @property
    def is_routed(self) -> bool:
        """Whether vLLM's router answers on `port`."""
        return self.replicas > 1 or self.router.is_elsewhere

    @property
    def publishes_kv_events(self) -> bool:
        """Whether Sluice's own engines tell the router what their caches hold."""
        return self.replicas > 1 and self.router.policy == "kv_aware"

    @property
    def engine_ports(self) -> range:
        """One for each engine that Sluice starts."""
        if self.router.is_elsewhere:
            return range(0)
        return (
            range(self.port + 1, self.port + 1 + self.replicas) if self.is_routed else range(self.port, self.port + 1)
        )

    @property
    def router_metrics_port(self) -> int:
        """Where the router's metrics are, if there is one: after the engines."""
        return self.port + 1 + len(self.engine_ports)

    @property
    def kv_event_ports(self) -> range:
        """One for each engine whose events the router hears: after the router's metrics."""
        first = self.router_metrics_port + 1
        return range(first, first + (self.replicas if self.publishes_kv_events else 0))


def ports_of(model: ModelSettings) -> range:
    """The loopback ports a model takes: one, or the router's, one for each replica that Sluice starts, the router's
    metrics, and where the router hears them, the replicas' events."""
    return range(model.port, model.kv_event_ports.stop if model.is_routed else model.port + 1)
