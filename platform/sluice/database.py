"""The database: SQLite in the home folder, or PostgreSQL by URL, with the same tables and migrations.

Whoever uses an engine from `connect` meets a lost or unusable database as one error, `StateUnavailable`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    Dialect,
    Engine,
    ExceptionContext,
    TypeDecorator,
    create_engine,
    event,
    exc,
    make_url,
)

from sluice.errors import ConfigurationError, InvalidRequest, SluiceError, StateUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x51_01_CE
"""PostgreSQL's advisory locks are numbers that all programs on one database share; any fixed one will do."""

SQLITE_DEFAULTS = {"timeout": 5.0}
"""Seconds a statement waits for another process's write."""

# A server that vanished without closing the connection is noticed in about ten seconds instead of two hours.
POSTGRES_DEFAULTS = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps no time zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


def connect(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://…`; the connection itself is made on first use.

    Driver options in the URL's query (`?timeout=1`, `?sslmode=require`) go over the defaults. SQLite's folder and file
    are created if need be, for their owner only.

    Raises:
        ConfigurationError: the URL is of no database that Sluice can use.
        StateUnavailable: here and from every later use of the engine, when the database cannot be used.
        InvalidRequest: from a later use, of a text that PostgreSQL cannot hold, because it has a NUL.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        _create_file(parsed)
        engine = create_engine(parsed, connect_args=_missing(SQLITE_DEFAULTS, parsed))
        event.listen(engine, "connect", _prepare_sqlite)
    else:
        engine = create_engine(parsed, connect_args=_missing(POSTGRES_DEFAULTS, parsed), pool_pre_ping=True)
    event.listen(engine, "handle_error", _explain)
    return engine


def migrate(url: str) -> None:
    """Bring the tables to what this version expects. Safe to call from several processes at once.

    Raises:
        ConfigurationError: as `connect`.
        StateUnavailable: the database cannot be used, or a newer version of Sluice has migrated it.
    """
    engine = connect(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            _lock(connection)
            _refuse_unknown_revision(connection, config)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _parse(url: str) -> URL:
    expected = "expected sqlite:///path or postgresql://user@host/name"
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise ConfigurationError(f"platform.database is not a database URL: {expected}.") from None
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigurationError(f"platform.database: '{parsed.drivername}' cannot be used: {expected}.")
    if parsed.database in (None, "", ":memory:"):
        raise ConfigurationError(f"platform.database: processes cannot share SQLite in memory: {expected}.")
    return parsed


def _missing(defaults: Mapping[str, Any], url: URL) -> dict[str, Any]:
    return {name: value for name, value in defaults.items() if name not in url.query}


def _create_file(url: URL) -> None:
    path = Path(str(url.database))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise _unavailable(url, error.strerror or str(error)) from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _lock(connection: Connection) -> None:
    """Hold off other migrations until this transaction ends."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")


def _refuse_unknown_revision(connection: Connection, config: Config) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise StateUnavailable(
                f"The database {_shown(connection.engine.url)} was migrated by a newer version of Sluice "
                f"(to revision {revision}).",
                fix="Install that version, or restore the backup made before it.",
            )


def _explain(context: ExceptionContext) -> SluiceError | None:
    """What takes the place of the driver's error; nothing where it is a sign neither of an unusable database nor of
    text that it cannot hold."""
    error = context.sqlalchemy_exception
    if context.is_pre_ping or context.engine is None or error is None:
        return None
    reason = str(context.original_exception).strip().partition("\n")[0]
    if getattr(context.original_exception, "sqlstate", None) == "42P01" or reason.startswith("no such table"):
        return StateUnavailable(
            f"The database {_shown(context.engine.url)} has not been set up.", fix="Run 'sluice up'."
        )
    if isinstance(error, exc.DataError) and "NUL (0x00)" in reason:
        return InvalidRequest("A text holds the character NUL, which the database cannot keep.", fix="Leave it out.")
    # A plain DatabaseError is SQLite's word for a file that is no database, or a damaged one.
    unusable = isinstance(error, exc.OperationalError | exc.InterfaceError | exc.InternalError)
    return _unavailable(context.engine.url, reason) if unusable or type(error) is exc.DatabaseError else None


def _unavailable(url: URL, reason: str) -> StateUnavailable:
    if url.get_backend_name() == "sqlite":
        fix = "Check that the file can be read and written, and that no other program holds it locked."
    else:
        fix = "Check that the server runs, and platform.database."
    return StateUnavailable(f"The database {_shown(url)} cannot be used: {reason.rstrip('.')}.", fix=fix)


def _shown(url: URL) -> str:
    """The URL without its password, nor a query that may hold one."""
    return url.set(query={}).render_as_string(hide_password=True)
