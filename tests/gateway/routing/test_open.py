from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.routing import Route, Routes
from sluice.errors import ConfigurationError
from sluice.route_settings import RouteSettings
from sluice.settings import Settings

ROUTE = {"routes": {"far": {"url": "http://127.0.0.1:1/v1", "api_key_env": "FAR_KEY"}}}


def test_a_routes_key_must_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="FAR_KEY is not set"):
        Routes(Settings.model_validate(ROUTE))


def test_sluices_own_key_is_sent_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", "sk-sluice-abcdefghijkl-secret")
    with pytest.raises(ConfigurationError, match="a key of Sluice itself") as raised:
        Routes(Settings.model_validate(ROUTE))
    assert "abcdefghijkl" not in str(raised.value)


MODELS = {
    "small": {"source": {"path": "x"}, "port": 9001, "context": 2048},
    "large": {"source": {"path": "y"}, "port": 9002, "context": 8192},
    "vectors": {"source": {"path": "z"}, "port": 9003, "kind": "embedding"},
}
ELSEWHERE = {"url": "http://127.0.0.1:1/v1"}


def opened(**routes: Any) -> dict[str, Route]:
    return Routes(Settings.model_validate({"models": MODELS, "routes": routes}))._routes


def test_a_route_has_the_least_context_of_its_upstreams_and_reaches_the_most_that_may_answer() -> None:
    routes = opened(
        both={"upstreams": [{"serves": "small"}, {"serves": "large"}]},
        longer={"serves": "small", "fallbacks": {"too_long": ["large"]}},
        unknown={"upstreams": [{"serves": "small"}, ELSEWHERE]},
        away={"serves": "small", "fallbacks": {"too_long": ["far"]}},
        far=ELSEWHERE,
    )
    assert {name: (route.context, route.reach) for name, route in routes.items()} == {
        "small": (2048, 2048),
        "large": (8192, 8192),
        "vectors": (None, None),
        "both": (2048, 8192),
        "longer": (2048, 8192),
        "unknown": (None, None),
        "away": (2048, None),
        "far": (None, None),
    }


def test_tokens_are_counted_by_each_model_that_may_answer_or_not_at_all() -> None:
    routes = opened(
        same={"upstreams": [{"serves": "small"}, ELSEWHERE | {"model": "small"}]},
        other={"upstreams": [{"serves": "small"}, {"serves": "large"}]},
        away={"serves": "small", "fallbacks": {"too_long": ["large"]}},
        provider=ELSEWHERE | {"provider": "anthropic"},
        partly={"serves": "small", "fallbacks": {"unavailable": ["provider"]}},
        far=ELSEWHERE,
    )
    counted = {name for name, route in routes.items() if route.tokenizers}
    assert counted == {"small", "large", "same", "other", "away", "far"}
    assert {model for model, _ in routes["other"].tokenizers} == {"small", "large"}
    assert routes["same"].tokenizers == routes["small"].tokenizers


def test_a_route_is_of_its_upstreams_kind() -> None:
    routes = opened(
        chat={"serves": "small"},
        embed={"serves": "vectors"},
        far=ELSEWHERE,
        claude=ELSEWHERE | {"provider": "anthropic"},
    )
    kinds = {name: routes[name].kind for name in ("chat", "embed", "far", "claude")}
    assert kinds == {"chat": "chat", "embed": "embedding", "far": None, "claude": "chat"}
    assert routes["chat"].upstream_model == "small"
    assert routes["far"].upstream_model is None


def test_only_what_has_something_to_decide_has_a_plan() -> None:
    routes = opened(
        plain=ELSEWHERE,
        timed=ELSEWHERE | {"timeouts": {"total_seconds": 5}, "model": "t"},
        guarded=ELSEWHERE | {"breaker": {}, "model": "g"},
        tried=ELSEWHERE | {"retries": {}, "model": "r"},
    )
    assert {name for name, route in routes.items() if route.plan is not None} == {"tried"}
    assert {name for name, route in routes.items() if route.targets[0].breaker is not None} == {"guarded"}


def test_a_password_in_an_url_is_refused_without_being_told() -> None:
    with pytest.raises(ConfigurationError, match="The URL of host holds a user or password") as refused:
        opened(r={"upstreams": [{"url": "http://user:secret@host:1/v1"}]})
    assert "secret" not in str(refused.value)


def test_the_example_in_the_shipped_file_is_a_valid_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PROVIDER_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(variable, "another-servers-key")
    text = Path("configs/models.yaml").read_text("utf-8")
    models, commented = text.split("# routes:")
    example = "".join(line[1:] + "\n" for line in commented.splitlines()[1:-1])
    settings = yaml.safe_load(models) | {"routes": yaml.safe_load(example)}
    routes = Routes(Settings.model_validate(settings))._routes
    plan = routes["chat"].plan
    assert plan is not None
    assert [route.name for route in plan.fallbacks["unavailable"]] == ["gpt-mini", "claude"]
    shown = {key for route in settings["routes"].values() for key in route}
    assert shown | {"serves", "name"} == set(RouteSettings.model_fields)
