"""The application of the services process."""

import importlib.metadata
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI
from sqlalchemy import Engine

from sluice.database import connect
from sluice.http_errors import install_error_responses
from sluice.identity import Keyring
from sluice.settings import Settings

log = logging.getLogger(__name__)

Hook = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Services:
    """What a package's `mount` gets to add its routes to.

    Attributes:
        on_start: awaited before the first request, in order; `on_stop`: after the last one, in reverse.
    """

    app: FastAPI
    settings: Settings
    engine: Engine
    on_start: list[Hook] = field(default_factory=list[Hook])
    on_stop: list[Hook] = field(default_factory=list[Hook])


def create_services(settings: Settings) -> FastAPI:
    """Put the services together from the entry points `sluice.services`: functions `(Services) -> None`.

    A package whose libraries are not installed is left out; its paths answer 404.
    """
    engine = connect(settings.database_url)
    keyring = Keyring(engine, settings.gateway.keys)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await keyring.start()
        for start in services.on_start:
            await start()
        yield
        for stop in reversed(services.on_stop):
            await stop()
        await keyring.stop()
        engine.dispose()

    app = FastAPI(title="Sluice services", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.keyring = keyring
    services = Services(app, settings, engine)
    install_error_responses(app)
    app.add_api_route("/health", _health, include_in_schema=False)
    for entry in sorted(importlib.metadata.entry_points(group="sluice.services"), key=lambda entry: entry.name):
        try:
            entry.load()(services)
        except ImportError as error:
            log.warning("%s is left out: '%s' is not installed.", entry.name, error.name)
    return app


async def _health() -> dict[str, str]:
    return {"status": "live"}
