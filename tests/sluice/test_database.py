import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlmodel import SQLModel

from sluice.database import MIGRATIONS, connect, migrate
from sluice.errors import ConfigurationError, StateUnavailable
from sluice.identity import Budget, list_budgets

WITH_TABLES = (
    "agents.tools.records",
    "classic_ml.features.online",
    "classic_ml.monitoring.alert",
    "classic_ml.serving.prediction",
    "gateway.kept.body_table",
    "gateway.usage.record",
    "prompts.registry",
    "sluice.identity",
    "sluice.promotion",
)


def test_migrated_tables_are_those_of_the_models(database_url: str) -> None:
    for module in WITH_TABLES:
        importlib.import_module(module)
    migrate(database_url)
    with connect(database_url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_migrating_again_keeps_what_is_there(database_url: str) -> None:
    migrate(database_url)
    with connect(database_url).begin() as connection:
        connection.execute(text("UPDATE api_key_revision SET value = 7"))
    migrate(database_url)
    with connect(database_url).connect() as connection:
        assert connection.execute(text("SELECT value FROM api_key_revision")).all() == [(7,)]


def test_processes_may_migrate_at_once(database_url: str) -> None:
    code = "import sys; from sluice.database import migrate; migrate(sys.argv[1])"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, database_url], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [(process.communicate(timeout=120)[1], process.returncode) for process in processes] == [("", 0)] * 4
    with connect(database_url).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM api_key_revision")).scalar() == 1


def test_database_migrated_by_newer_version_is_refused(database_url: str) -> None:
    migrate(database_url)
    with connect(database_url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StateUnavailable, match=r"newer version of Sluice \(to revision 9999\)"):
        migrate(database_url)


def test_failed_migration_leaves_nothing_behind(database_url: str) -> None:
    with connect(database_url).begin() as connection:
        connection.execute(text("CREATE TABLE usage_record (id INTEGER)"))
    with pytest.raises(Exception, match="usage_record"):
        migrate(database_url)
    with connect(database_url).connect() as connection:
        tables = connection.dialect.get_table_names(connection)
    assert "api_key" not in tables


def test_database_without_tables_is_named_as_such(database_url: str) -> None:
    with pytest.raises(StateUnavailable, match="has not been set up"), connect(database_url).connect() as connection:
        connection.execute(text("SELECT * FROM api_key"))


def test_sqlite_is_prepared_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "home" / "sluice.db"
    with connect(f"sqlite:///{path}").connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        ]
    assert found == ["wal", 1, 5000, 1]
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)


def test_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "sluice.db").write_text("these are notes, no database" * 100)
    with pytest.raises(StateUnavailable, match=r"sluice\.db cannot be used: file is not a database"):
        migrate(f"sqlite:///{tmp_path / 'sluice.db'}")


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnavailable, match=r"file/sluice\.db cannot be used: "):
        connect(f"sqlite:///{tmp_path / 'file' / 'sluice.db'}")


def test_locked_sqlite_is_unavailable(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sluice.db'}?timeout=0.05"
    migrate(url)
    with connect(url).connect() as holder:
        holder.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(StateUnavailable, match="database is locked"):
            migrate(url)


def test_unreachable_postgresql_is_named_without_its_password() -> None:
    with pytest.raises(StateUnavailable) as raised:
        migrate("postgresql://sluice:hunter2@127.0.0.1:1/state?application_name=hunter2")
    message = str(raised.value)
    assert "postgresql+psycopg://sluice:***@127.0.0.1:1/state cannot be used: " in message
    assert "Check that the server runs" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("no url, hunter2", "not a database URL"),
        ("mysql://root:hunter2@localhost/x", "'mysql' cannot be used"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_url_of_no_usable_database_is_refused(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as raised:
        connect(url)
    assert "hunter2" not in str(raised.value)


def test_budgets_of_the_older_version_become_those_of_their_keys(database_url: str) -> None:
    engine = connect(database_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.exec_driver_sql("INSERT INTO budget VALUES ('k1/day', 'key', 'k1', 500, 'day')")
    migrate(database_url)
    assert list_budgets(engine) == {"key:k1": (Budget("key:k1/tokens/day", "key:k1", 500, "day"),)}
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        rows = connection.exec_driver_sql("SELECT * FROM budget").mappings().all()
    assert [dict(row) for row in rows] == [
        {"id": "k1/day", "scope": "key", "scope_id": "k1", "tokens": 500, "window": "day"}
    ]
    engine.dispose()
