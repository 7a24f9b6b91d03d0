"""Every mistake in a route is named with its place and what was expected."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.errors import ConfigurationError
from sluice.route_settings import BreakerSettings, RetrySettings
from sluice.settings import Settings
from sluice.settings_files import load_settings

NEAR, FAR = {"url": "http://127.0.0.1:1/v1"}, {"url": "http://127.0.0.1:2/v1"}
MODELS = {
    "chatty": {"source": {"path": "x"}, "port": 9001},
    "vectors": {"source": {"path": "y"}, "port": 9002, "kind": "embedding"},
}


def load(folder: Path, routes: dict[str, Any]) -> Settings:
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": MODELS, "routes": routes}), "utf-8")
    return load_settings(folder, {})


def several(*upstreams: dict[str, Any], **further: Any) -> dict[str, Any]:
    return {"r": {"upstreams": list(upstreams), **further}, "s": FAR}


def one(**further: Any) -> dict[str, Any]:
    return {"r": NEAR | further, "s": FAR}


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ({"r": {}}, "routes.r: a route needs an upstream: expected serves, url or upstreams."),
        (several(), "routes.r: a route needs an upstream"),
        (several(NEAR) | {"r": {**NEAR, "upstreams": [FAR]}}, "routes.r: expected url or upstreams, not both."),
        (one(serves="chatty"), "routes.r: expected exactly one of serves, url"),
        (several({}), "routes.r.upstreams.0: expected exactly one of serves, url."),
        (several({"serves": "chatty", "model": "x"}), "with serves, the model's own section says"),
        (several({"serves": "nobody"}), "routes.r.upstreams.0.serves: there is no model 'nobody' under models."),
        ({"r": {"serves": "nobody"}}, "routes.r.serves: there is no model 'nobody' under models."),
        (several({"serves": "chatty"}, {"serves": "vectors"}), "one makes embeddings and another writes text."),
        (several(NEAR | {"weight": -1}), "routes.r.upstreams.0.weight: input should be greater than or equal to 0"),
        (several(NEAR | {"weight": 0}, FAR | {"weight": 0}), "routes.r: no upstream has a weight above zero"),
        (several(NEAR | {"canary": 50}), "routes.r: no upstream has a weight above zero"),
        (
            several(NEAR, FAR | {"canary": 101}),
            "routes.r.upstreams.1.canary: input should be less than or equal to 100",
        ),
        (
            several(NEAR, FAR | {"canary": 60}, {"serves": "chatty", "canary": 50}),
            "routes.r: the canary shares come to more than 100 percent.",
        ),
        (several(NEAR, FAR | {"canary": 5, "weight": 1}), "expected a weight or a canary share, not both."),
        (several(NEAR, NEAR), "routes.r.upstreams: 'r@127.0.0.1:1' stands there twice."),
        (one(fallbacks={"unavailable": ["t"]}), "routes.r.fallbacks.unavailable: there is no route or model 't'."),
        (one(fallbacks={"unavailable": ["r"]}), "routes.r.fallbacks.unavailable: 'r' is this route itself."),
        (one(fallbacks={"down": ["s"]}), "routes.r.fallbacks.down: unknown key."),
        (one(fallbacks={"unavailble": ["s"]}), "Did you mean 'unavailable'?"),
        (
            one(fallbacks={"too_long": ["s"]}) | {"s": FAR | {"fallbacks": {"unavailable": ["r"]}}},
            "routes.r.fallbacks: they lead back to 'r', expected no loop.",
        ),
        (
            {"r": {"serves": "chatty", "fallbacks": {"unavailable": ["vectors"]}}},
            "routes.r.fallbacks.unavailable: 'vectors' does something else (it is of kind embedding).",
        ),
        (one(shadow={"route": "r", "share": 0.1}), "routes.r.shadow.route: 'r' is this route itself."),
        (one(shadow={"route": "t", "share": 0.1}), "routes.r.shadow.route: there is no route or model 't'."),
        (one(shadow={"route": "s", "share": 1.1}), "routes.r.shadow.share: input should be less than or equal to 1"),
        (one(price={"input": -1}), "routes.r.price.input: input should be greater than or equal to 0, found -1."),
        (one(price={"input": float("nan")}), "routes.r.price.input: input should be"),
        (one(price={"map": True, "input": 1}), "routes.r.price: expected amounts or map, not both."),
        (one(price="cheap"), "routes.r.price: expected amounts such as {input: 0.25, output: 2}, or map."),
        (several(NEAR | {"price": {"output": -0.1}}), "routes.r.upstreams.0.price.output: input should be greater"),
        (one(retries={"budget": 1.5}), "routes.r.retries.budget: input should be less than or equal to 1, found 1.5."),
        (one(retries={"budget": -0.1}), "routes.r.retries.budget: input should be greater than or equal to 0"),
        (one(retries={"attempts": 100}), "routes.r.retries.attempts: input should be less than or equal to 10"),
        (one(timeouts={"total_seconds": 0}), "routes.r.timeouts.total_seconds: input should be greater than 0"),
        (one(breaker={"failures": 0}), "routes.r.breaker.failures: input should be greater than or equal to 1"),
        (
            {
                "r": NEAR | {"name": "x", "model": "m"},
                "s": NEAR | {"name": "y", "model": "m"},
                "t": FAR | {"name": "x"},
            },
            "routes.t: another upstream is called 'x' too, expected a name of its own.",
        ),
        (one(name="chatty"), "routes.r: another upstream is called 'chatty' too"),
        (
            {"r": NEAR | {"model": "m", "breaker": {}}, "s": NEAR | {"model": "m", "breaker": {"failures": 9}}},
            "routes.s.breaker: upstream 'm@127.0.0.1:1' has another breaker in routes.r.",
        ),
        ({"chatty": NEAR}, "routes.chatty: there is a model of this name too, expected different names."),
    ],
)
def test_a_mistake_is_refused_with_a_sentence(tmp_path: Path, routes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, routes)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'models.yaml'}, line ")


def test_a_route_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text("routes:\n  r: {url: http://a/v1}\n  r: {url: http://b/v1}\n", "utf-8")
    with pytest.raises(ConfigurationError, match="line 3: 'r' is given twice"):
        load_settings(tmp_path, {})


def test_a_models_price_is_checked_too(tmp_path: Path) -> None:
    text = "models:\n  m:\n    source: {path: x}\n    port: 9001\n    price: {input: -1}\n"
    (tmp_path / "models.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=r"line 5: models.m.price.input: input should be greater"):
        load_settings(tmp_path, {})


def test_a_password_in_an_url_is_in_no_name(tmp_path: Path) -> None:
    [target] = load(tmp_path, {"r": {"url": "http://user:secret@host:1/v1"}}).routes["r"].targets
    assert target.shown_name("r") == "r@host:1"


def test_one_upstream_and_nothing_else_is_a_plain_way_through(tmp_path: Path) -> None:
    routes = load(
        tmp_path, {"plain": NEAR, "two": {"upstreams": [NEAR, FAR]}, "r": NEAR | {"retries": {"attempts": 0}}}
    )
    assert (routes.routes["plain"].retrying, routes.routes["plain"].has_alternatives) == (None, False)
    assert (routes.routes["two"].retrying, routes.routes["two"].has_alternatives) == (RetrySettings(), True)
    assert routes.routes["r"].retrying == RetrySettings(attempts=0)
    assert BreakerSettings().failures == 5


def test_what_was_read_can_be_read_again(tmp_path: Path) -> None:
    routes = one(price="map", fallbacks={"unavailable": ["s"]}) | {"t": {"upstreams": [NEAR, FAR | {"canary": 5}]}}
    settings = load(tmp_path, routes)
    again = Settings.model_validate(settings.model_dump(exclude={"extensions"}, exclude_unset=True))
    assert again.routes == settings.routes
