"""What the gateway and the cache-aware router cost together, in CPU a request, beside Envoy and before a constant mock."""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

from gateways.launching import Launch, TargetError
from gateways.measuring import Measured, measure
from gateways.mocks import constant_mock
from gateways.targets import Target, envoy, sluice, vllm_router
from gateways.wrk import plain_load
from rich.console import Console

RENDER = """        location = /v1/chat/completions/render { return 200 '{"request_id":"r","token_ids":[%s]}'; }
"""
"""What the router asks a replica for: the prompt's tokens, as many as the question has in the packaged model."""


def _chain(upstream: int, folder: Path) -> Launch:
    """The gateway before the cache-aware router as one process tree, so that the costs of both are added."""
    router = vllm_router("cache_aware")(upstream, folder)
    gateway = sluice(router.port, folder)
    both = f"{shlex.join(router.command)} & {shlex.join(gateway.command)} & wait"
    return replace(gateway, command=["bash", "-c", both])


def chain_costs(rounds: int, seconds: float, folder: Path, console: Console) -> dict[str, Measured]:
    """Envoy and the chain before the constant mock; raises TargetError."""
    nginx, wrk = (_program(name) for name in ("nginx", "wrk"))
    targets = [Target("envoy", "Envoy", envoy), Target("chain", "gateway + vllm-router, cache-aware", _chain)]
    return measure(
        constant_mock(nginx, folder, RENDER % ",".join(map(str, range(37)))),
        targets,
        lambda server, duration: plain_load(wrk, folder, server, duration),
        folder=folder,
        rounds=rounds,
        seconds=seconds,
        say=console.print,
    )


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise TargetError(f"{name} was not found: apt-get install {name}")
    return found
