"""Fixtures that several parts share."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from sqlalchemy import Engine

from sluice.database import connect, migrate
from sluice.settings import Settings
from tests.doubles.scripted_upstream import ScriptedUpstream

pytest_plugins = ["tests.guard.fixtures", "tests.servers.minilm", "tests.servers.redis"]

# No test fails for being slow. Examples are new ones each time at a developer's desk, always the same in CI, where a
# rare one must not stop somebody else's change.
hypothesis.settings.register_profile(
    "sluice",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
hypothesis.settings.load_profile("sluice")

POSTGRES = "postgresql://postgres@127.0.0.1:5432"


@pytest.fixture
def scripted_upstream() -> Iterator[ScriptedUpstream]:
    """An OpenAI-compatible server that behaves as the test says."""
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state' / 'sluice.db'}"
        return
    try:
        server = psycopg.connect(f"{POSTGRES}/postgres", connect_timeout=30, autocommit=True)
    except psycopg.OperationalError as error:
        pytest.skip(f"PostgreSQL does not answer on loopback: {error}")
    name = f"sluice_test_{secrets.token_hex(6)}"
    with server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{POSTGRES}/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(settings: Settings) -> Iterator[Engine]:
    """The deployment's own, on SQLite, for folders that have `settings`; a test of what is PostgreSQL's business too
    overrides it."""
    migrate(settings.database_url)
    engine = connect(settings.database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The same database with its tables."""
    migrate(database_url)
    engine = connect(database_url)
    yield engine
    engine.dispose()
