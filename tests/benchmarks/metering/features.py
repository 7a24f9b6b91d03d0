"""Sluice with each part of metering switched on by itself, and with all of them, in the process and on Redis."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gateways.launching import Launch
from gateways.targets import Target, envoy, passthrough, sluice

from sluice.database import connect
from sluice.identity import create_key, create_scope, set_budget, set_limit

MUCH = 10**12
REDIS = "redis://127.0.0.1:6379/15"


@dataclass(frozen=True)
class Features:
    """What is switched on beside keys, usage records and the audit log, which always are."""

    budgets: bool = False
    limits: bool = False
    telemetry: bool = False
    redis: bool = False


def with_features(features: Features) -> Callable[[int, Path], Launch]:
    """Sluice with a key of a team of an organisation."""

    def launch(upstream: int, folder: Path) -> Launch:
        plain = sluice(upstream, folder)
        engine = connect(f"sqlite:///{folder / 'home' / 'sluice.db'}")
        create_scope(engine, "organisation", "acme", by="bench")
        create_scope(engine, "team", "search", parent="organisation:acme", by="bench")
        key, token = create_key(engine, owner="bench", scope="team:search")
        if features.budgets:
            for scope, window in (("organisation:acme", "month"), ("team:search", "day"), (f"key:{key.id}", "ever")):
                set_budget(engine, scope, MUCH, window, by="bench")
        if features.limits:
            for what in ("requests", "tokens", "concurrent"):
                set_limit(engine, f"key:{key.id}", what, MUCH, by="bench")
        engine.dispose()
        environment = dict(plain.environment)
        if features.telemetry:  # the mock takes what is exported
            environment["SLUICE_TELEMETRY__OTLP_ENDPOINT"] = f"http://127.0.0.1:{upstream}"
        if features.redis:
            environment["SLUICE_REDIS__URL"] = REDIS
            environment["SLUICE_REDIS__PREFIX"] = json.dumps(f"bench-{secrets.token_hex(4)}")
        return replace(plain, headers={"authorization": f"Bearer {token}"}, environment=environment)

    return launch


EVERYTHING = Features(budgets=True, limits=True, telemetry=True)
TARGETS = (
    Target("envoy", "Envoy, plain proxy", envoy),
    Target("passthrough", "bare ASGI + aiohttp", passthrough),
    Target("base", "Sluice: keys, usage, audit", with_features(Features())),
    Target("budgets", "… and three budget scopes", with_features(Features(budgets=True))),
    Target("limits", "… and three limits", with_features(Features(limits=True))),
    Target("telemetry", "… and telemetry", with_features(Features(telemetry=True))),
    Target("memory", "all of it, in the process", with_features(EVERYTHING)),
    Target("redis", "all of it, on Redis", with_features(replace(EVERYTHING, redis=True))),
)
