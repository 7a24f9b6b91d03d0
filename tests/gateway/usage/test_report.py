import json
import subprocess
import sys
from datetime import UTC, datetime
from io import StringIO

import msgspec
import pytest
from rich.console import Console
from sqlalchemy import Engine
from typer.testing import CliRunner

from gateway.commands import app
from gateway.usage.record import UsageRecord, insert
from gateway.usage.report import Report, Sums, parse_since, report
from gateway.usage.report_view import print_report
from sluice.errors import InvalidRequest, NotFound
from sluice.identity import ApiKey, create_key

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RECORD = UsageRecord("", "", "small", "chat", 200, None, True, 10, 4, 5, NOON.timestamp(), 20.0, 4.0, 15)
START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def keys(engine: Engine) -> tuple[ApiKey, ApiKey]:
    """Two keys with usage: two calls of one, and a failed one of the other just before midnight the day before."""
    ada, bob = create_key(engine, owner="ada", name="search")[0], create_key(engine, owner="bob")[0]
    late = datetime(2026, 11, 23, 23, 59, 59, 999_000, tzinfo=UTC).timestamp()
    insert(
        engine,
        [
            msgspec.structs.replace(RECORD, request_id="1", key_id=ada.id),
            msgspec.structs.replace(RECORD, request_id="2", key_id=ada.id, route="large"),
            msgspec.structs.replace(
                RECORD, request_id="3", key_id=bob.id, status=502, started_at=late, charged_tokens=90
            ),
        ],
    )
    return ada, bob


def test_usage_is_summed_by_key(engine: Engine, keys: tuple[ApiKey, ApiKey]) -> None:
    ada, bob = keys
    assert report(engine, by="key", since=START).rows == [
        Sums(bob.id, "bob", 1, 10, 4, 5, 90, 1),
        Sums(ada.id, "ada: search", 2, 20, 8, 10, 30, 0),
    ]


@pytest.mark.usefixtures("keys")
def test_usage_is_summed_by_model_and_day(engine: Engine) -> None:
    assert [(row.name, row.requests) for row in report(engine, by="model", since=START).rows] == [
        ("small", 2),
        ("large", 1),
    ]
    days = [("2026-11-23", 90), ("2026-11-24", 30)]
    found = report(engine, by="day", since=START)
    assert [(row.name, row.charged_tokens) for row in found.rows] == days
    assert found.days == report(engine, by="key", since=START).days == found.rows


def test_usage_of_one_key_since_a_time(engine: Engine, keys: tuple[ApiKey, ApiKey]) -> None:
    assert [row.name for row in report(engine, by="key", since=NOON).rows] == [keys[0].id]
    assert [row.requests for row in report(engine, by="model", since=START, key=keys[1].id).rows] == [1]
    assert report(engine, by="day", since=NOON, key=keys[1].id).rows == []
    with pytest.raises(NotFound):
        report(engine, by="day", since=NOON, key="sk-sluice-nobody")
    with pytest.raises(InvalidRequest, match="by 'week'"):
        report(engine, by="week", since=NOON)


def shown(found: Report) -> str:
    text = StringIO()
    print_report(found, Console(file=text, width=120))
    return text.getvalue()


@pytest.mark.usefixtures("keys")
def test_table_and_plot_are_shown(engine: Engine) -> None:
    text = shown(report(engine, by="key", since=START))
    assert "ada: search" in text
    assert "all" in text
    first, second = text.strip().splitlines()[-2:]
    assert (first[:10], second[:10]) == ("2026-11-23", "2026-11-24")
    assert first.count("█") == 40
    assert second.count("█") == 13


def test_nothing_used_is_said_in_a_sentence(engine: Engine) -> None:
    assert shown(report(engine, by="key", since=START)).startswith("Nothing was used since 2026-11-01 00:00 UTC.")


@pytest.mark.usefixtures("keys")
def test_the_command_prints_json(
    engine: Engine, database_url: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_CONFIG", str(tmp_path))
    monkeypatch.setenv("SLUICE_PLATFORM__DATABASE", database_url)
    printed = CliRunner().invoke(
        app, ["usage", "--by", "model", "--since", "2026-11-24", "--json"], catch_exceptions=False
    )
    assert {row["name"]: row["charged_tokens"] for row in json.loads(printed.stdout)["rows"]} == {
        "small": 15,
        "large": 15,
    }


def test_since_is_read() -> None:
    assert parse_since("7d", NOON) == datetime(2026, 11, 17, 12, tzinfo=UTC)
    assert parse_since("2026-11-01", NOON) == START
    for text in ("7", "soon", "99999999999d"):
        with pytest.raises(InvalidRequest, match=f"'{text}' is no time"):
            parse_since(text, NOON)


def test_importing_the_command_loads_nothing_heavy() -> None:
    code = "import sys, gateway.commands; print(*sys.modules.keys() & {'sqlmodel', 'sqlalchemy', 'pydantic', 'rich'})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout == "\n"
