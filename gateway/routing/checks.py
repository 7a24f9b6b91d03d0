"""What is wrong with routes that are right in themselves, for `sluice config check`. Nothing is connected."""

from collections.abc import Iterator

from gateway.routing.prices import open_price
from gateway.upstream import open_upstream
from sluice.errors import ConfigurationError
from sluice.route_settings import PriceSettings, TargetSettings
from sluice.settings import Settings


def find_faults(settings: Settings) -> Iterator[str]:
    """A sentence for each thing that would keep the gateway from opening its routes, but for keys, which may be elsewhere."""
    for name, model in settings.models.items():
        yield from _check_price(model.price, TargetSettings(serves=name), name, f"models.{name}")
    for name, route in settings.routes.items():
        for target in route.targets:
            yield from _check_url(settings, target, f"routes.{name}")
            yield from _check_price(target.price or route.price, target, name, f"routes.{name}")


def _check_url(settings: Settings, target: TargetSettings, key: str) -> Iterator[str]:
    if target.url is not None and target.provider is None:
        try:
            open_upstream(target.url, settings.gateway.upstream)
        except ConfigurationError as error:
            yield f"{key}.url: {error}"


def _check_price(price: PriceSettings | None, target: TargetSettings, route: str, key: str) -> Iterator[str]:
    try:
        open_price(price, target.provider, target.serves or target.model or route, key)
    except ConfigurationError as error:
        yield str(error)
