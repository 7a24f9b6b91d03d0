from typing import Any

from gateway.routing.checks import find_faults
from sluice.settings import Settings


def faults(**sections: Any) -> list[str]:
    return list(find_faults(Settings.model_validate(sections)))


def test_nothing_to_say() -> None:
    models = {"m": {"port": 1, "source": {"package": "p"}, "price": {"input": 1}}}
    routes = {
        "r": {"url": "http://a/v1", "api_key_env": "NO_SUCH_KEY"},
        "s": {"serves": "m"},
        "c": {"url": "http://a", "provider": "anthropic", "model": "claude-sonnet-4-5", "price": "map"},
    }
    assert faults(models=models, routes=routes) == []


def test_each_upstream_has_its_own_line() -> None:
    models = {"m": {"port": 1, "source": {"package": "p"}, "price": "map"}}
    upstreams = [{"url": "http://ada:secret@a/v1", "price": "map"}, {"url": "http://b/v1", "model": "x"}]
    found = faults(models=models, routes={"r": {"upstreams": upstreams}, "s": {"serves": "m", "price": "map"}})
    assert [line.partition(": ")[0] for line in found] == [
        "models.m.price",
        "routes.r.url",
        "routes.r.price",
        "routes.s.price",
    ]
    assert "secret" not in "".join(found)
