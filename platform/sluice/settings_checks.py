"""What settings that are right in themselves refer to, as far as it can be looked at without starting anything."""

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from sluice.identity.keys import PREFIX
from sluice.settings import Settings


def find_warnings(settings: Settings, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """A sentence for each thing outside the files that is not there, and would be missed later."""
    for name, route in settings.routes.items():
        for place, target in enumerate(route.targets):
            if variable := target.api_key_env:
                key = f"routes.{name}.upstreams.{place}" if route.upstreams else f"routes.{name}"
                yield from _check_key(f"{key}.api_key_env", variable, environment.get(variable, ""))
    for name, model in settings.models.items():
        path = model.source.path
        if path is not None and not path.exists():
            yield f"models.{name}.source.path: '{path}' does not exist."
    for name, service in settings.services.items():
        if not _is_module(service.module):
            yield f"services.{name}.module: there is no module '{service.module}'. Install the package it is in."
    if (variable := settings.telemetry.headers_env) and not environment.get(variable):
        yield f"telemetry.headers_env: the variable {variable} is not set. Export {variable}."
    if settings.guardrails.policies and not _is_module("guardrails"):
        yield "guardrails.policies: guardrails-ai is not installed, no policy loads. Run: pip install 'sluice[guardrails]'"


def _check_key(setting: str, variable: str, key: str) -> Iterator[str]:
    if not key:
        yield f"{setting}: the variable {variable} is not set. Export {variable}."
    elif key.startswith(PREFIX):
        yield f"{setting}: {variable} holds a key of Sluice itself, which must not be sent elsewhere."


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
