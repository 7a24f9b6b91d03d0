"""The typed settings of a deployment.

`configs/*.yaml` files are merged into one `Settings`; `SLUICE_*` variables go over them (see `settings_files`).
Every field has a default that works on one machine, so an empty folder is a valid configuration.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import SerializeAsAny, model_validator

from sluice.gateway_settings import (
    CacheSettings,
    GatewaySettings,
    KeySettings,
    LimitSettings,
    RedisSettings,
    TelemetrySettings,
    UpstreamSettings,
    UsageSettings,
    worker_ports,
)
from sluice.guardrail_settings import CheckSettings, GuardrailSettings, PolicySettings
from sluice.home import Home
from sluice.model_settings import ModelSettings, Source, ports_of
from sluice.route_settings import RouteSettings, conflicts_of_routes
from sluice.section import Count, HomePath, HttpUrl, Port, Seconds, Section, SectionType

__all__ = [
    "CacheSettings",
    "CheckSettings",
    "Count",
    "GatewaySettings",
    "GuardrailSettings",
    "HomePath",
    "HttpUrl",
    "KeySettings",
    "LimitSettings",
    "ModelSettings",
    "PlatformSettings",
    "PolicySettings",
    "Port",
    "PromotionSettings",
    "RedisSettings",
    "RouteSettings",
    "Seconds",
    "Section",
    "SectionType",
    "ServiceSettings",
    "Settings",
    "Source",
    "TelemetrySettings",
    "UpstreamSettings",
    "UsageSettings",
    "ports_of",
    "worker_ports",
]


class PlatformSettings(Section):
    """`platform:`, what all processes share."""

    home: HomePath = Path(".sluice")
    database: str = ""
    engine_python: HomePath = Path(".venv-vllm/bin/python")
    log_level: Literal["debug", "info", "warning", "error"] = "info"


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

    @property
    def home(self) -> Home:
        """The folder of all state, wherever the working directory goes."""
        return Home(self.platform.home.absolute())

    @cached_property
    def database_url(self) -> str:
        """The SQLAlchemy URL; SQLite in the home folder unless one is configured."""
        return self.platform.database or f"sqlite:///{self.home.root / 'sluice.db'}"
