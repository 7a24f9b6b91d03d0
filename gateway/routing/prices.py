"""What an upstream's tokens cost, in whole numbers: money inside Sluice is counted in nano-units of its currency."""

import importlib.util
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec

from gateway.price import MILLION, Price
from sluice.errors import ConfigurationError
from sluice.identity.money import NANO
from sluice.route_settings import PriceSettings

FREE = Price(0, 0, 0)
"""Of a model that Sluice serves itself, where nothing else is said."""


def dearest(prices: Iterable[Price | None]) -> Price | None:
    """The least that is above all of these; None where one of them is not known."""
    known = list(prices)
    if None in known:
        return None
    return Price(*(max(getattr(price, part) for price in known) for part in ("input", "cached", "output")))


def open_price(settings: PriceSettings | None, provider: str | None, model: str, key: str) -> Price | None:
    """The price that the settings name, or that LiteLLM's map knows of a provider's model; None where there is none.

    Args:
        key: where the settings stand, for errors.

    Raises:
        ConfigurationError: the map is named, and not here or without this model.
    """
    if settings is not None and not settings.map:
        input_ = _nano(settings.input)
        return Price(input_, input_ if settings.cached is None else _nano(settings.cached), _nano(settings.output))
    if settings is None and provider is None:
        return None
    known = _price_map()
    price = known.get(f"{provider}/{model}") or known.get(model)
    if price is None and settings is not None:
        raise ConfigurationError(
            f"{key}.price: LiteLLM's price map {'has no model' if known else 'is not installed, for'} '{model}'.",
            fix="Give the amounts, such as {input: 0.25, output: 2}.",
        )
    return price


def _nano(amount: float, tokens: int = 1) -> int:
    return int(Decimal(repr(amount)) * tokens * NANO)


class _Listed(msgspec.Struct):
    """A model in LiteLLM's map; amounts are for one token."""

    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    cache_read_input_token_cost: float | None = None
    mode: str | None = None


@cache
def _price_map() -> dict[str, Price]:
    """By model, or by provider and model; empty where LiteLLM is not installed. The library is not imported."""
    found = importlib.util.find_spec("litellm")
    if found is None or not found.submodule_search_locations:
        return {}
    file = Path(found.submodule_search_locations[0]) / "model_prices_and_context_window_backup.json"
    listed = msgspec.json.decode(file.read_bytes(), type=dict[str, msgspec.Raw])
    return {model: price for model, entry in listed.items() if (price := _price_of(entry)) is not None}


def _price_of(entry: msgspec.Raw) -> Price | None:
    """None for what is not paid by the token, or reads like nothing that is known."""
    try:
        listed = msgspec.json.decode(entry, type=_Listed)
    except msgspec.ValidationError:
        return None
    if listed.input_cost_per_token is None or listed.mode not in ("chat", "completion", "responses", "embedding"):
        return None
    amounts = (listed.input_cost_per_token, listed.cache_read_input_token_cost, listed.output_cost_per_token)
    input_, cached, output = (None if amount is None else _nano(amount, MILLION) for amount in amounts)
    assert input_ is not None
    return Price(input_, input_ if cached is None else cached, output or 0)
