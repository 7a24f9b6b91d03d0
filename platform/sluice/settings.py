"""The typed settings of a deployment.

`configs/*.yaml` files are merged into one `Settings`; `SLUICE_*` variables go over them (see `settings_files`).
Every field has a default that works on one machine, so an empty folder is a valid configuration.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sluice.guardrails.finding import CONTEXT, LONGEST, Action, Validator

HomePath = Annotated[Path, AfterValidator(Path.expanduser)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected a URL such as http://127.0.0.1:8000/v1")
    return url.rstrip("/")


HttpUrl = Annotated[str, AfterValidator(_http_url)]


class Section(BaseModel):
    """A mapping in a settings file: no unknown keys, never changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SectionType = TypeVar("SectionType", bound=Section)


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
    limits: LimitSettings = LimitSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    keys: KeySettings = KeySettings()
    usage: UsageSettings = UsageSettings()


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

    @model_validator(mode="after")
    def _one_embedding_process(self) -> Self:
        if self.kind == "embedding" and self.replicas > 1:
            raise ValueError("an embedding model runs in one process: expected replicas: 1")
        return self


class RouteSettings(Section):
    """`routes.<name>:`, a model name that a server elsewhere answers.

    Attributes:
        provider: LiteLLM's name of the API it speaks, such as `anthropic`, where that is not OpenAI's.
    """

    url: HttpUrl
    provider: str | None = None
    model: str | None = None
    api_key_env: str | None = None


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
    """

    input: CheckSettings = CheckSettings()
    output: CheckSettings = CheckSettings()
    hold_back: Count = 300

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


class RedisSettings(Section):
    """`redis:`, what several gateway workers count together in; empty: one worker, in its own memory."""

    url: str = ""

    @field_validator("url")
    @classmethod
    def _is_a_redis_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme == "unix" or (parts.scheme in ("redis", "rediss") and parts.hostname)):
            raise ValueError("expected a URL such as redis://127.0.0.1:6379/0")
        return value


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
    extensions: dict[str, SerializeAsAny[Section]] = {}

    @model_validator(mode="after")
    def _names_and_ports_differ(self) -> Self:
        answered = {model: name for name, service in self.services.items() for model in service.models}
        if both := self.models.keys() & self.routes.keys():
            raise ValueError(f"routes.{min(both)}: there is a model of this name too, expected different names")
        if both := answered.keys() & (self.models.keys() | self.routes.keys()):
            raise ValueError(f"services.{answered[min(both)]}.models: '{min(both)}' is a model or a route already")
        gateway_ports = [self.gateway.port, *worker_ports(self.gateway)]
        owners = dict.fromkeys((port for port in gateway_ports if port), "the gateway")
        for name, model in self.models.items():
            for port in ports_of(model):
                if port in owners:
                    raise ValueError(f"models.{name}.port: {port} is already used by {owners[port]}")
                owners[port] = f"model '{name}'"
        for name, service in self.services.items():
            if service.port in owners:
                raise ValueError(f"services.{name}.port: {service.port} is already used by {owners[service.port]}")
            owners[service.port] = f"service '{name}'"
        return self

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
