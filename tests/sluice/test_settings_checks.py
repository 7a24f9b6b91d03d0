from pathlib import Path
from typing import Any

import pytest

from sluice import settings_checks
from sluice.settings import Settings
from sluice.settings_checks import find_warnings

ROUTE = {"r": {"url": "http://a/v1", "api_key_env": "PROVIDER_KEY"}}


def warnings(environment: dict[str, str] | None = None, **sections: Any) -> list[str]:
    return list(find_warnings(Settings.model_validate(sections), environment or {}))


def test_nothing_to_say() -> None:
    assert warnings() == []
    assert warnings({"PROVIDER_KEY": "sk-other"}, routes=ROUTE) == []


def test_a_routes_key_that_is_not_there_or_is_our_own() -> None:
    assert warnings(routes=ROUTE) == [
        "routes.r.api_key_env: the variable PROVIDER_KEY is not set. Export PROVIDER_KEY."
    ]
    [own] = warnings({"PROVIDER_KEY": "sk-sluice-abc-secret"}, routes=ROUTE)
    assert "key of Sluice itself" in own
    assert "secret" not in own


def test_the_keys_of_several_upstreams_and_a_collectors_headers() -> None:
    upstreams = [{"url": "http://a/v1"}, {"url": "http://b/v1", "api_key_env": "PROVIDER_KEY"}]
    sections: dict[str, Any] = {
        "routes": {"r": {"upstreams": upstreams}},
        "telemetry": {"headers_env": "COLLECTOR_HEADERS"},
    }
    assert warnings(**sections) == [
        "routes.r.upstreams.1.api_key_env: the variable PROVIDER_KEY is not set. Export PROVIDER_KEY.",
        "telemetry.headers_env: the variable COLLECTOR_HEADERS is not set. Export COLLECTOR_HEADERS.",
    ]
    assert warnings({"PROVIDER_KEY": "sk-other", "COLLECTOR_HEADERS": "a=b"}, **sections) == []


def test_a_models_folder_and_a_services_module(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    models = {"m": {"port": 1, "source": {"path": str(missing)}}, "n": {"port": 2, "source": {"path": str(tmp_path)}}}
    services = {
        "good": {"module": "sluice.services", "port": 3},
        "bad": {"module": "nowhere.at_all", "port": 4},
        "odd": {"module": "", "port": 5},
    }
    found = warnings(models=models, services=services)
    assert [line.partition(": ")[0] for line in found] == [
        "models.m.source.path",
        "services.bad.module",
        "services.odd.module",
    ]


def test_policies_without_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    policies = {"policies": {"p": {}}}
    monkeypatch.setattr(settings_checks, "find_spec", lambda _: None)
    [line] = warnings(guardrails=policies)
    assert "pip install 'sluice[guardrails]'" in line
