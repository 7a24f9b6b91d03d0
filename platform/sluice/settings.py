"""The typed settings of a deployment.

`configs/*.yaml` files are merged into one `Settings`; `SLUICE_*` variables go over them (see `settings_files`).
Every field has a default that works on one machine, so an empty folder is a valid configuration.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SerializeAsAny, ValidationInfo, field_validator, model_validator

from sluice.guardrails.finding import CONTEXT, LONGEST, Action, Validator
from sluice.route_settings import PriceSettings, RouteSettings, conflicts_of_routes
from sluice.section import Count, HomePath, HttpUrl, Port, Seconds, Section, SectionType


def _redis_url(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.path)):
        raise ValueError("expected a URL such as redis://127.0.0.1:6379/0")
    return url


RedisUrl = Annotated[str, AfterValidator(_redis_url)]
__all__ = ["Count", "HomePath", "HttpUrl", "Port", "RouteSettings", "Seconds", "Section", "SectionType"]


class PlatformSettings(Section):
    """`platform:`, what all processes share."""

    home: HomePath = Path(".sluice")
    database: str = ""
    engine_python: HomePath = Path(".venv-vllm/bin/python")
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class LimitSettings(Section):
    """`gateway.limits:`, what a client may send and how slowly."""

    body_bytes: Count = 32 * 1024 * 1024
    header_bytes: Count = 64 * 1024
    header_seconds: Seconds = 10
    body_seconds: Seconds = 60
    idle_seconds: Seconds = 75


class UpstreamSettings(Section):
    """`gateway.upstream:`, how long the gateway waits for those behind it."""

    connect_seconds: Seconds = 5
    first_byte_seconds: Seconds = 600
    idle_seconds: Seconds = 120
    total_seconds: Seconds = 3600
    connections: Count = 1024
    response_bytes: Count = 64 * 1024 * 1024


class KeySettings(Section):
    """`gateway.keys:`, how keys are cached."""

    refresh_seconds: Annotated[float, Field(gt=0, le=1)] = 0.5
    stale_seconds: Seconds = 60


class UsageSettings(Section):
    """`gateway.usage:`, how usage records reach the database."""

    flush_seconds: Seconds = 0.5
    segment_bytes: Count = 2 * 1024 * 1024


class GatewaySettings(Section):
    """`gateway:`, the front door."""

    host: str = "127.0.0.1"
    port: Port = 8400
    workers: Count = 1
    drain_seconds: Seconds = 20
    access_log: Literal["none", "errors", "all"] = "errors"
    limits: LimitSettings = LimitSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    keys: KeySettings = KeySettings()
    usage: UsageSettings = UsageSettings()


class RedisSettings(Section):
    """`redis:`, where several gateway workers share what is spent and held; without a `url`, the one worker's memory.

    Attributes:
        prefix: of all keys, in braces, so that a cluster keeps them on one node.
        lease_seconds: a call whose process died is charged in full after this long, until its journal tells the truth.
        rebuild_seconds: after Redis lost what it knew, for all workers to write their usage records first.
        when_lost: whether calls that a hard budget counts are refused or let through uncounted.
    """

    url: RedisUrl = ""
    prefix: str = "sluice"
    connect_seconds: Seconds = 2
    command_seconds: Seconds = 1
    lease_seconds: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 60
    rebuild_seconds: Seconds = 2
    when_lost: Literal["closed", "open"] = "closed"

    @field_validator("prefix")
    @classmethod
    def _is_one_slot(cls, prefix: str) -> str:
        if not prefix or not prefix.isascii() or set("{} \r\n") & set(prefix):
            raise ValueError("expected some letters without braces and spaces: braces go around it by themselves")
        return prefix


class CacheSettings(Section):
    """`cache:`, answers kept for requests that come again.

    Attributes:
        deterministic: keep answers to requests that ask for the likeliest answer, and embeddings, without being asked.
        seconds: how long an answer is good for.
        megabytes: of the in-process store, for each gateway worker.
        entry_bytes: of the largest answer that is kept.
        wait_seconds: how long a request waits for an identical one under way before it goes on by itself.
    """

    enabled: bool = False
    store: Literal["memory", "redis"] = "memory"
    deterministic: bool = True
    seconds: Seconds = 3600
    megabytes: Count = 64
    entry_bytes: Count = 1024 * 1024
    wait_seconds: Seconds = 60


def _collector_url(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("expected the base URL of a collector, such as http://127.0.0.1:4318, or nothing")
    if parts.username or parts.password:
        raise ValueError("holds a user or password, expected those in the variable that headers_env names")
    if parts.path.rstrip("/").endswith(("/v1/traces", "/v1/metrics")):
        raise ValueError("expected the collector's base URL, without /v1/traces and /v1/metrics")
    return url.rstrip("/")


class TelemetrySettings(Section):
    """`telemetry:`, where traces and metrics are sent by OTLP over HTTP, and what is held of kept bodies.

    Attributes:
        otlp_endpoint: the collector's base URL; empty: nothing is sent anywhere.
        headers_env: the variable that holds further headers, as `name=value,name=value`.
        sample: the share of traces that are kept, where the client has not decided it.
        held_body_bytes: of bodies that guardrail policies keep, in memory until they are in the database.
    """

    otlp_endpoint: Annotated[str, AfterValidator(_collector_url)] = ""
    headers_env: str | None = None
    service_name: Annotated[str, Field(min_length=1)] = "sluice-gateway"
    sample: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.1
    metrics_seconds: Seconds = 15
    held_body_bytes: Count = 64 * 1024 * 1024


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
    eager: bool = True
    kv_cache_gib: Count = 1
    start_seconds: Seconds = 900
    arguments: tuple[str, ...] = ()
    price: PriceSettings | None = None

    @model_validator(mode="after")
    def _one_embedding_process(self) -> Self:
        if self.kind == "embedding" and self.replicas > 1:
            raise ValueError("an embedding model runs in one process: expected replicas: 1")
        return self


class ServiceSettings(Section):
    """`services.<name>:`, a process of the platform that the gateway forwards to, started when it is first asked for.

    Attributes:
        module: what `python -m` runs; it reads the settings by itself and answers /health on `port`.
        paths: the gateway forwards requests to these paths and those below them.
        models: names on /v1/chat/completions that it answers.
        about: what it adds, and the memory it takes, for `sluice up`.
    """

    module: str
    port: Port
    paths: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    about: str = ""
    start_seconds: Seconds = 120


class CheckSettings(Section):
    """`guardrails.policies.<name>.input:` and `output:`, the validators that look at one side; those left out do not."""

    injection: Literal["block"] | None = None
    pii: Action | None = None
    secrets: Literal["block"] | None = None

    @property
    def actions(self) -> list[tuple[Validator, Action]]:
        """The validators named, each with what follows from a finding."""
        named: list[tuple[Validator, Action | None]] = [
            ("injection", self.injection),
            ("pii", self.pii),
            ("secrets", self.secrets),
        ]
        return [(validator, action) for validator, action in named if action is not None]


class PolicySettings(Section):
    """`guardrails.policies.<name>:`, a guardrail policy.

    Attributes:
        hold_back: the most characters of a streamed answer that are kept back until they are certain.
        keep_bodies: requests and answers are kept for `keep_days`, as the policy lets them through.
    """

    input: CheckSettings = CheckSettings()
    output: CheckSettings = CheckSettings()
    hold_back: Count = 300
    keep_bodies: bool = False
    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 30

    @field_validator("hold_back")
    @classmethod
    def _holds_the_longest_finding(cls, value: int, info: ValidationInfo) -> int:
        output: CheckSettings = info.data.get("output", CheckSettings())
        for validator, _ in output.actions:
            least = LONGEST[validator] + CONTEXT
            if value < least:
                raise ValueError(
                    f"{value} characters cannot hold the longest pattern of '{validator}', expected at least {least}"
                )
        return value


class GuardrailSettings(Section):
    """`guardrails:`, the policies, and the one for keys that name none (empty: none)."""

    policies: dict[str, PolicySettings] = {}
    default: str = ""

    @field_validator("default")
    @classmethod
    def _is_a_policy(cls, value: str, info: ValidationInfo) -> str:
        policies: dict[str, PolicySettings] = info.data.get("policies", {})
        if value and value not in policies:
            raise ValueError(f"there is no policy '{value}', expected one of {', '.join(policies) or 'none'}")
        return value


class PromotionSettings(Section):
    """`promotion:`, what a label asks for before it moves.

    Attributes:
        guarded: labels that move only with a passing gate.
        approved: `<kind>:<label>` that need another person's approval.
        suites: by `<kind>:<name>`, the suites whose verdict a guarded label needs; each other suite's that there is counts too.
    """

    guarded: tuple[str, ...] = ("production",)
    approved: tuple[str, ...] = ("model:production", "agent:production")
    suites: dict[str, tuple[str, ...]] = {}


class Settings(Section):
    """All settings of a deployment; `extensions` are the sections of packages above the kernel, which `section` reads."""

    platform: PlatformSettings = PlatformSettings()
    gateway: GatewaySettings = GatewaySettings()
    models: dict[str, ModelSettings] = {}
    routes: dict[str, RouteSettings] = {}
    services: dict[str, ServiceSettings] = {}
    promotion: PromotionSettings = PromotionSettings()
    guardrails: GuardrailSettings = GuardrailSettings()
    redis: RedisSettings = RedisSettings()
    cache: CacheSettings = CacheSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    extensions: dict[str, SerializeAsAny[Section]] = {}

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if conflicts := list(self._conflicts()):
            raise ValueError("\n".join(conflicts))
        return self

    def _conflicts(self) -> Iterator[str]:
        """What is wrong between sections, each a line that begins with the key."""
        if self.gateway.workers > 1 and not self.redis.url:
            yield "gateway.workers: several workers share budgets and limits in Redis, expected redis.url to name one"
        if self.cache.enabled and self.cache.store == "redis" and not self.redis.url:
            yield "cache.store: answers cannot be kept in Redis, expected redis.url to name one"
        answered = {model: name for name, service in self.services.items() for model in service.models}
        for name in sorted(self.models.keys() & self.routes.keys()):
            yield f"routes.{name}: there is a model of this name too, expected different names"
        for name in sorted(answered.keys() & (self.models.keys() | self.routes.keys())):
            yield f"services.{answered[name]}.models: '{name}' is a model or a route already"
        yield from conflicts_of_routes(self.routes, {name: model.kind for name, model in self.models.items()})
        gateway_ports = [self.gateway.port, *worker_ports(self.gateway)]
        owners = dict.fromkeys((port for port in gateway_ports if port), "the gateway")
        wanted = [(f"models.{name}", f"model '{name}'", ports_of(model)) for name, model in self.models.items()]
        wanted += [
            (f"services.{name}", f"service '{name}'", range(service.port, service.port + 1))
            for name, service in self.services.items()
        ]
        for key, owner, ports in wanted:
            if (taken := next((port for port in ports if port in owners), None)) is not None:
                yield f"{key}.port: {taken} is already used by {owners[taken]}"
            owners |= dict.fromkeys((port for port in ports if port not in owners), owner)

    def section(self, name: str, model: type[SectionType]) -> SectionType:
        """A package's own section, typed; its defaults where the files have none."""
        found = self.extensions.get(name)
        return found if isinstance(found, model) else model()

    @cached_property
    def database_url(self) -> str:
        """The SQLAlchemy URL; SQLite in the home folder unless one is configured."""
        return self.platform.database or f"sqlite:///{self.platform.home.absolute() / 'sluice.db'}"


def ports_of(model: ModelSettings) -> range:
    """The loopback ports a model takes: one, or with several replicas the router's, one for each replica, and the
    router's metrics."""
    return range(model.port, model.port + (1 if model.replicas == 1 else model.replicas + 2))


def worker_ports(gateway: GatewaySettings) -> range:
    """The ports on which each of several gateway workers answers alone; none for a single worker."""
    return range(gateway.port + 1, gateway.port + 1 + (gateway.workers if gateway.workers > 1 else 0))
