"""`models.<name>.router:`, how vLLM's router (`vllm-router`) chooses among a model's replicas, and where these are.

What is typed here is what a deployment tunes, or what must agree with something else of Sluice's; the rest of the
router's options go through `arguments`. Each default is one that the tests through the real router rely on.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from sluice.section import Count, Port, Seconds, Section

Fraction = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[int, Field(ge=0)]
StagePolicy = Literal["cache_aware", "consistent_hash", "power_of_two", "round_robin", "random", "sticky_least_loaded"]
Policy = Literal[StagePolicy, "kv_aware"]
Labels = Annotated[dict[str, str], Field(min_length=1)]

SET_BY_SLUICE = frozenset(
    [
        "--host",
        "--port",
        "--worker-urls",
        "--policy",
        "--prometheus-host",
        "--prometheus-port",
        "--kv-event-source",
        "--kv-event-block-size",
        "--kv-event-model",
        "--vllm-pd-disaggregation",
        "--prefill",
        "--decode",
        "--service-discovery",
        "--selector",
    ]
)
"""Options that follow from other settings; given once more they would contradict those."""


def _server(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("expected a server's address without a path, such as http://10.0.0.5:8000")
    return url.rstrip("/")


def _kv_endpoint(endpoint: str) -> str:
    if not re.fullmatch(r"tcp://[^\s/@:*]+:[0-9]{1,5}", endpoint):
        raise ValueError("expected an address that the router can connect to, such as tcp://10.0.0.5:5557")
    return endpoint


Server = Annotated[str, AfterValidator(_server)]
KvEndpoint = Annotated[str, AfterValidator(_kv_endpoint)]


class RetrySettings(Section):
    """`router.retries:`, how often a request is tried before its answer begins; after that it is never tried again.

    Attributes:
        attempts: in all, so 1 means none again.
        jitter: the part of a wait that is left to chance.
    """

    attempts: Count = 5
    first_wait_seconds: Seconds = 0.05
    longest_wait_seconds: Seconds = 30
    growth: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.5
    jitter: Fraction = 0.2

    @model_validator(mode="after")
    def _waits_grow(self) -> Self:
        if self.longest_wait_seconds < self.first_wait_seconds:
            raise ValueError("longest_wait_seconds is shorter than first_wait_seconds, expected at least as long")
        return self


class CircuitBreakerSettings(Section):
    """`router.circuit_breaker:`, when a replica gets no requests for a while.

    Attributes:
        failures: in a row that open it. By default one fewer than `retries.attempts`: with more, clients see a replica's
            end; with half as many, one request on which every replica fails takes out two of them.
        successes: in a row that close it again.
        open_seconds: until one request tries the replica again.
    """

    failures: Count | None = None
    successes: Count = 3
    open_seconds: Count = 5


class KubernetesSettings(Section):
    """`router.kubernetes:`, replicas that are pods, found by their labels.

    Attributes:
        namespace: None looks in all of them, which the router's account must be allowed to.
        port: on which each pod's vLLM answers.
        selector: labels of the pods; with `disaggregation` its two selectors stand in its place.
    """

    namespace: str | None = None
    port: Port = 8000
    selector: Labels | None = None


class DisaggregationSettings(Section):
    """`router.disaggregation:`, replicas that read prompts (prefill) apart from those that write (decode).

    Attributes:
        prefill: addresses of those that read; with `kubernetes`, `prefill_selector` finds them instead.
        kv_connector: how the cache comes from the one to the other, as the servers themselves were told.
        bootstrap_port: where each prefill server of the connector `mooncake` tells its engine's id.
    """

    prefill: tuple[Server, ...] = ()
    decode: tuple[Server, ...] = ()
    prefill_selector: Labels | None = None
    decode_selector: Labels | None = None
    prefill_policy: StagePolicy | None = None
    decode_policy: StagePolicy | None = None
    kv_connector: Literal["nixl", "mooncake"] = "nixl"
    bootstrap_port: Port | None = None

    @model_validator(mode="after")
    def _both_sides(self) -> Self:
        for one, other in (("prefill", "decode"), ("prefill_selector", "decode_selector")):
            for given, missing in ((one, other), (other, one)):
                if getattr(self, given) and not getattr(self, missing):
                    raise ValueError(f"'{given}' without '{missing}', expected both")
        if self.prefill and self.prefill_selector:
            raise ValueError("addresses and selectors together, expected prefill and decode or their selectors")
        if not self.prefill and not self.prefill_selector:
            raise ValueError("expected prefill and decode, or prefill_selector and decode_selector")
        _refuse_twice((*self.prefill, *self.decode))
        if self.kv_connector == "mooncake" and self.prefill and self.bootstrap_port is None:
            raise ValueError("the connector mooncake needs to know the prefill servers' bootstrap_port")
        return self


class RouterSettings(Section):
    """`models.<name>.router:`; where none of `urls`, `kubernetes` and `disaggregation` is given, the replicas are Sluice's.

    Attributes:
        cache_threshold: `cache_aware` sends a prompt where at least this part of it is cached, else where most is free.
        balance_abs_threshold, balance_rel_threshold: unless the busiest replica has this many requests, and this many
            times, more than the idlest: then the idlest gets it.
        kv_block_size: tokens in a block of the engine's key-value cache, for `kv_aware`; on a CPU a multiple of 32.
        kv_events: for `kv_aware` over `urls`: where each of them publishes what its cache holds.
        request_timeout_seconds: until a whole answer must be there, also a streamed one.
    """

    policy: Policy = "cache_aware"
    cache_threshold: Fraction = 0.3
    balance_abs_threshold: NotNegative = 64
    balance_rel_threshold: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.5
    retries: RetrySettings = RetrySettings()
    circuit_breaker: CircuitBreakerSettings = CircuitBreakerSettings()
    health_check_seconds: Count = 5
    request_timeout_seconds: Count = 1800
    kv_block_size: Annotated[int, Field(ge=1, multiple_of=16)] = 32
    kv_events: dict[Server, KvEndpoint] = {}
    urls: tuple[Server, ...] = ()
    kubernetes: KubernetesSettings | None = None
    disaggregation: DisaggregationSettings | None = None
    arguments: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.urls and (self.kubernetes or self.disaggregation):
            raise ValueError(
                "urls stand beside kubernetes or disaggregation, expected one of them to say where replicas are"
            )
        _refuse_twice(self.urls)
        self._check_selectors()
        self._check_kv_events()
        if self.policy == "power_of_two" and len(self.urls) == 1:
            raise ValueError("policy power_of_two chooses between two replicas, expected two urls or more")
        for argument in self.arguments:
            if (option := argument.partition("=")[0]) in SET_BY_SLUICE:
                raise ValueError(f"arguments: {option} follows from other settings, expected it not to be given")
        return self

    def _check_selectors(self) -> None:
        split, kubernetes = self.disaggregation, self.kubernetes
        if split is not None and (kubernetes is None) != (split.prefill_selector is None):
            raise ValueError("disaggregation by selectors goes with kubernetes, by addresses without it")
        if kubernetes is not None and (kubernetes.selector is None) == (split is None):
            raise ValueError(
                "kubernetes needs a selector, or disaggregation with one for each side, expected one of them"
            )

    def _check_kv_events(self) -> None:
        if self.policy == "kv_aware" and (self.kubernetes or self.disaggregation):
            raise ValueError(
                "policy kv_aware needs a known source of events for each replica, expected urls or replicas"
            )
        if self.policy == "kv_aware" and self.kv_events.keys() != set(self.urls):
            raise ValueError("policy kv_aware hears each replica, expected kv_events to name exactly the urls")
        if self.policy != "kv_aware" and self.kv_events:
            raise ValueError(f"kv_events are heard by policy kv_aware only, found {self.policy}")

    @property
    def breaker_failures(self) -> int:
        """In a row, that open a replica's circuit breaker."""
        return self.circuit_breaker.failures or max(1, self.retries.attempts - 1)

    @property
    def is_elsewhere(self) -> bool:
        """Whether others run the replicas, so that Sluice starts the router alone."""
        return bool(self.urls or self.kubernetes or self.disaggregation)


def _refuse_twice(urls: Iterable[str]) -> None:
    seen: set[str] = set()
    for url in urls:
        if url in seen:
            raise ValueError(f"'{url}' is given twice, expected each replica once")
        seen.add(url)
