"""Which processes a deployment consists of, from its settings."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sluice.errors import ConfigurationError, MissingRequirement
from sluice.home import Home
from sluice.models.engine import (
    Hardware,
    detect_hardware,
    engine_command,
    engine_environment,
    network_environment,
)
from sluice.models.router import HEALTH, router_command
from sluice.models.sources import find_fetched
from sluice.offline import OFFLINE_ENVIRONMENT
from sluice.settings import GatewaySettings, ModelSettings, Settings, worker_ports

MODELS, ROUTERS, SERVICES, GATEWAYS = 0, 1, 2, 3
"""Groups, stopped from the highest to the lowest: first what takes requests, then what it needs."""


@dataclass(frozen=True)
class ProcessSpec:
    """One process: how to start it, how to see that it is healthy, and how long to wait for what.

    Args:
        environment: goes over what the supervisor inherited.
        start_seconds: from the start to the first healthy answer; after that it counts as failed.
        stop_seconds: from SIGTERM to SIGKILL.
        expected_seconds: how long a start usually takes, until one was measured here.
        settings: what the process itself reads at its start, as text, where a change matters to it.
        on_demand: started when somebody first asks for it; `about` says what it adds.
    """

    name: str
    command: tuple[str, ...]
    health_url: str
    start_seconds: float
    stop_seconds: float
    group: int
    expected_seconds: float
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: str = ""
    on_demand: bool = False
    about: str = ""

    @property
    def fingerprint(self) -> str:
        """Changes when what would be started changes."""
        text = json.dumps([self.command, dict(self.environment), self.settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def plan(settings: Settings, home: Home) -> list[ProcessSpec]:
    """All processes, in the order of their groups.

    Raises:
        MissingRequirement: a model is not fetched, or needs a GPU that is not here.
        ConfigurationError: the gateway's port is left open.
    """
    hardware = detect_hardware()
    specs = [spec for name in settings.models for spec in plan_model(name, settings, home, hardware)]
    specs += [_plan_service(name, settings) for name in settings.services]
    specs += _plan_gateway(settings)
    return sorted(specs, key=lambda spec: spec.group)


def plan_model(name: str, settings: Settings, home: Home, hardware: Hardware) -> list[ProcessSpec]:
    """The processes of one model: an embedding server, one engine, or several engines and the router before them; of
    replicas that others run, the router alone."""
    model = settings.models[name]
    python = settings.platform.engine_python.absolute()  # not resolved: a link leads out of its environment
    if model.router.is_elsewhere:
        return [_plan_router(name, model, python, 3)]
    folder = find_fetched(name, model, home)
    if folder is None:
        raise MissingRequirement(f"Model '{name}' is not fetched yet.", fix=f"Run: sluice models pull {name}")
    if model.kind == "embedding":
        return [_plan_embedding_server(name, model, folder)]
    engines = [
        ProcessSpec(
            name=f"{name}/{replica}" if model.is_routed else name,
            command=engine_command(name, model, folder, replica, python, hardware),
            environment=engine_environment(model, replica, hardware),
            health_url=f"http://127.0.0.1:{port}/health",
            start_seconds=model.start_seconds,
            stop_seconds=15,
            group=MODELS,
            expected_seconds=75 if model.eager else 185,
        )
        for replica, port in enumerate(model.engine_ports)
    ]
    return (
        [*engines, _plan_router(name, model, python, engines[0].expected_seconds + 3)] if model.is_routed else engines
    )


def _plan_router(name: str, model: ModelSettings, python: Path, expected_seconds: float) -> ProcessSpec:
    return ProcessSpec(
        name=f"{name}/router",
        command=router_command(name, model, python),
        health_url=f"http://127.0.0.1:{model.port}{HEALTH}",
        start_seconds=model.start_seconds + 30,
        stop_seconds=10,
        group=ROUTERS,
        expected_seconds=expected_seconds,
    )


def _plan_embedding_server(name: str, model: ModelSettings, folder: Path) -> ProcessSpec:
    arguments = ("--name", name, "--folder", str(folder), "--port", str(model.port), *model.arguments)
    return ProcessSpec(
        name=name,
        command=(sys.executable, "-m", "sluice.models.embedding_server", *arguments),
        environment=network_environment(model),
        health_url=f"http://127.0.0.1:{model.port}/health",
        start_seconds=model.start_seconds,
        stop_seconds=10,
        group=MODELS,
        expected_seconds=25,
    )


def _plan_service(name: str, settings: Settings) -> ProcessSpec:
    service = settings.services[name]
    return ProcessSpec(
        name=name,
        command=(sys.executable, "-m", service.module),
        environment=OFFLINE_ENVIRONMENT,
        health_url=f"http://127.0.0.1:{service.port}/health",
        start_seconds=service.start_seconds,
        stop_seconds=20,
        group=SERVICES,
        expected_seconds=20,
        settings=settings.model_dump_json(),
        on_demand=True,
        about=service.about,
    )


def _plan_gateway(settings: Settings) -> list[ProcessSpec]:
    """One process, or one for each worker: they share the port, and each has one of its own to be asked on."""
    gateway = settings.gateway
    if gateway.port == 0:
        raise ConfigurationError("gateway.port is 0, so nobody could find the gateway.", fix="Set gateway.port.")
    return [
        ProcessSpec(
            name="gateway" if gateway.workers == 1 else f"gateway/{worker}",
            command=(sys.executable, "-m", "gateway", "--worker", str(worker)),
            environment=OFFLINE_ENVIRONMENT,
            health_url=f"{gateway_url(gateway, port)}/health/live",
            start_seconds=60,
            stop_seconds=gateway.drain_seconds + 10,
            group=GATEWAYS,
            expected_seconds=4,
            settings=settings.model_dump_json(),
        )
        for worker, port in enumerate(worker_ports(gateway) or [gateway.port])
    ]


def gateway_url(gateway: GatewaySettings, port: int | None = None) -> str:
    """Where this machine reaches the gateway, or one worker's port, also when it listens on every address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(gateway.host, gateway.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{port or gateway.port}"
