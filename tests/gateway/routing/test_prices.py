import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing import Routes
from gateway.routing.prices import NANO, Price, dearest, open_price
from gateway.routing.route import price_of
from sluice.errors import ConfigurationError
from sluice.route_settings import PriceSettings
from sluice.settings import Settings

AMOUNTS = st.integers(0, 10**15)
TOKENS = st.integers(0, 10**7)


def test_amounts_become_whole_nano_units() -> None:
    price = open_price(PriceSettings(input=0.1, output=2, cached=0.025), None, "m", "")
    assert price == Price(input=100_000_000, cached=25_000_000, output=2_000_000_000)
    assert open_price(PriceSettings(input=1), None, "m", "") == Price(NANO, NANO, 0)
    assert open_price(None, None, "m", "") is None


def test_a_million_tokens_cost_the_price() -> None:
    price = Price(input=3 * NANO, cached=NANO, output=15 * NANO)
    assert price.cost(10**6, 0, 0) == 3 * NANO
    assert price.cost(10**6, 10**6, 0) == NANO
    assert price.cost(0, 0, 10**6) == 15 * NANO
    assert price.cost(1000, 400, 10) == 600 * 3000 + 400 * 1000 + 10 * 15_000


@given(input_=AMOUNTS, cached=AMOUNTS, output=AMOUNTS, prompt=TOKENS, of_it=TOKENS, completion=TOKENS)
def test_a_cost_is_rounded_up_by_less_than_one_unit(
    input_: int, cached: int, output: int, prompt: int, of_it: int, completion: int
) -> None:
    cost = Price(input_, cached, output).cost(prompt, of_it, completion)
    of_it = min(of_it, prompt)
    exact = (prompt - of_it) * input_ + of_it * cached + completion * output
    assert 0 <= cost * 10**6 - exact < 10**6


def test_the_map_knows_providers_models_without_its_library() -> None:
    loaded = "litellm" in sys.modules
    assert open_price(None, "anthropic", "claude-sonnet-4-5", "") == Price(3 * NANO, 300_000_000, 15 * NANO)
    assert open_price(None, "gemini", "gemini-2.5-pro", "") == Price(1_250_000_000, 125_000_000, 10 * NANO)
    assert open_price(PriceSettings(map=True), None, "gpt-5-mini", "") == Price(250_000_000, 25_000_000, 2 * NANO)
    assert ("litellm" in sys.modules) == loaded


def test_a_model_the_map_does_not_know() -> None:
    assert open_price(None, "anthropic", "claude-0", "") is None
    with pytest.raises(ConfigurationError, match="price map has no model 'claude-0'"):
        open_price(PriceSettings(map=True), "anthropic", "claude-0", "routes.x")


def test_a_price_that_is_written_goes_over_the_map() -> None:
    assert open_price(PriceSettings(input=1), "anthropic", "claude-sonnet-4-5", "") == Price(NANO, NANO, 0)


def test_a_route_costs_what_the_dearest_that_may_answer_does() -> None:
    settings = {
        "routes": {
            "a": {
                "upstreams": [
                    {"url": "http://127.0.0.1:1/v1", "price": {"input": 5}},
                    {"url": "http://127.0.0.1:2/v1"},
                ],
                "price": {"input": 1, "output": 2},
                "fallbacks": {"unavailable": ["b"]},
            },
            "b": {"url": "http://127.0.0.1:3/v1", "price": {"input": 1, "output": 7}},
            "free": {"url": "http://127.0.0.1:4/v1"},
        }
    }
    routes = Routes(Settings.model_validate(settings))._routes
    assert [target.price for target in routes["a"].targets] == [
        Price(5 * NANO, 5 * NANO, 0),
        Price(NANO, NANO, 2 * NANO),
    ]
    assert price_of(routes["a"]) == Price(5 * NANO, 5 * NANO, 7 * NANO)
    assert price_of(routes["free"]) is None
    assert dearest([Price(1, 1, 1), None]) is None


def test_a_models_own_price_is_that_of_routes_that_serve_it() -> None:
    models = {"own": {"source": {"path": "x"}, "port": 9001, "price": {"input": 0.5}}}
    upstream = {"serves": "own"}
    settings = {"models": models, "routes": {"a": upstream, "b": upstream | {"price": {"input": 2}}}}
    routes = Routes(Settings.model_validate(settings))._routes
    assert [price_of(routes[name]) for name in ("own", "a", "b")] == [
        Price(NANO // 2, NANO // 2, 0),
        Price(NANO // 2, NANO // 2, 0),
        Price(2 * NANO, 2 * NANO, 0),
    ]
