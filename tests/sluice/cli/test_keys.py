import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sluice.audit import entries
from sluice.cli.keys import keys, parse_expiry
from sluice.cli.scopes import scopes
from sluice.database import connect
from sluice.errors import ConfigurationError, InvalidRequest, NotFound
from sluice.identity.keys import KEY_PATTERN

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def run(*arguments: str) -> str:
    return CliRunner().invoke(keys, arguments, catch_exceptions=False).stdout


def listed() -> list[dict[str, object]]:
    return json.loads(run("list", "--json"))


@pytest.mark.usefixtures("empty_database")
def test_created_key_is_listed_and_revoked() -> None:
    token = run("create", "--owner", "ada", "--name", "ci", "--model", "a", "--model", "b", "--quiet").strip()
    match = re.fullmatch(KEY_PATTERN, token)
    assert match
    [row] = listed()
    assert row | {"created": ""} == {
        "id": match[1],
        "owner": "ada",
        "name": "ci",
        "scope": None,
        "role": None,
        "models": ["a", "b"],
        "budgets": [],
        "policy": None,
        "created": "",
        "expires": None,
        "state": "active",
    }
    assert match[1] in run("revoke", token)
    assert [row["state"] for row in listed()] == ["revoked"]


@pytest.mark.usefixtures("empty_database")
def test_key_is_shown_once_and_said_so() -> None:
    result = CliRunner().invoke(keys, ["create", "--owner", "ada", "--expires", "2099-01-31"])
    token = result.stdout.strip()
    assert re.fullmatch(KEY_PATTERN, token)
    assert "not shown again" in result.stderr
    table = run("list")
    assert token[-40:] not in table
    assert token[10:22] in table
    assert "2099-01-31T00:00" in table
    assert "all" in table


@pytest.mark.usefixtures("empty_database")
def test_budget_is_kept_and_listed() -> None:
    run("create", "--owner", "ada", "--budget", "10000", "--per", "day")
    assert listed()[0]["budgets"] == [{"tokens": 10000, "window": "day", "hard": True}]
    assert "10,000/day" in run("list")


@pytest.mark.usefixtures("empty_database")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--budget", "0", "--per", "day"), "A budget of 0 tokens is none. Take "),
        (("--budget", "-5", "--per", "day"), "A budget of -5 tokens is none. Take "),
        (("--budget", str(2**53 + 1), "--per", "day"), "tokens is none"),
        (
            ("--budget", "5", "--per", "week"),
            "'week' is no window of a budget. Take one of: minute, hour, day, month, ",
        ),
        (
            ("--budget", "5"),
            "A budget needs its tokens or its money, and its window. Write for instance: --budget 10000 --per day",
        ),
        (("--money", "5"), "A budget needs its tokens or its money, and its window."),
        (("--money", "much", "--per", "day"), "'much' is no amount of money."),
        (("--role", "root"), "'root' is no role. Take one of: viewer, developer, operator, admin."),
        (("--per", "day"), "A budget needs its tokens or its money, and its window."),
    ],
)
def test_what_is_no_budget_is_refused_and_leaves_no_key(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(message)):
        run("create", "--owner", "ada", *arguments)
    assert listed() == []


@pytest.mark.usefixtures("empty_database")
def test_a_key_stands_under_a_scope_with_a_role_and_a_budget_in_money() -> None:
    with pytest.raises(NotFound, match="no scope 'team:search'"):
        run("create", "--owner", "ada", "--scope", "team:search")
    CliRunner().invoke(scopes, ["create", "team", "search"])
    budget = ("--money", "25.50", "--budget", "10000", "--per", "month")
    run("create", "--owner", "ada", "--scope", "team:search", "--role", "operator", *budget)
    [row] = listed()
    assert (row["scope"], row["role"]) == ("team:search", "operator")
    assert row["budgets"] == [
        {"money": "25.50", "window": "month", "hard": True},
        {"tokens": 10000, "window": "month", "hard": True},
    ]
    assert "25.50 of money/month, 10,000/month" in run("list")


@pytest.mark.usefixtures("empty_database")
def test_an_id_stays_whole_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    run("create", "--owner", "somebody-with-a-long-name", "--model", "a-model-with-a-long-name", "--expires", "30d")
    monkeypatch.setenv("COLUMNS", "60")
    assert str(listed()[0]["id"]) in run("list")
    assert "…" not in run("list")


def test_who_is_at_the_terminal_stands_in_the_audit_log(empty_database: str) -> None:
    id_ = run("create", "--owner", "ada", "--quiet")[10:22]
    run("revoke", id_)
    engine = connect(empty_database)
    assert [(entry.actor, entry.action) for entry in entries(engine, f"key:{id_}")] == [
        ("ops", "key.created"),
        ("ops", "key.revoked"),
    ]
    engine.dispose()


@pytest.mark.usefixtures("empty_database")
def test_names_are_printed_as_they_are() -> None:
    run("create", "--owner", "[red]ada[/red]")
    assert "[red]ada[/red]" in run("list")


@pytest.mark.usefixtures("empty_database")
def test_unknown_key_is_an_error() -> None:
    with pytest.raises(NotFound):
        run("revoke", "abcdefghijkl")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("30d", datetime(2026, 12, 24, 12, tzinfo=UTC)),
        ("12h", datetime(2026, 11, 25, 0, tzinfo=UTC)),
        ("15m", datetime(2026, 11, 24, 12, 15, tzinfo=UTC)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T10:00+02:00", datetime(2027, 1, 31, 8, tzinfo=UTC)),
    ],
)
def test_expiry_is_read(written: str, meant: datetime) -> None:
    assert parse_expiry(written, NOW) == meant


@pytest.mark.parametrize("written", ["30", "d", "-3d", "1w", "tomorrow", "2027-13-01", "99999999999d"])
def test_expiry_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(f"'{written}' is no time")):
        parse_expiry(written, NOW)


def test_importing_the_commands_loads_no_database() -> None:
    code = "import sys, sluice.cli.keys, sluice.cli.scopes, sluice.cli.limits, sluice.cli.audit; print(*sys.modules.keys() & {'sqlmodel', 'sqlalchemy', 'pydantic', 'rich'})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120).stdout == "\n"


@pytest.mark.usefixtures("empty_database")
def test_a_key_may_be_put_under_a_policy_that_exists(tmp_path: Path) -> None:
    (tmp_path / "guardrails.yaml").write_text("guardrails: {policies: {strict: {}}}\n")
    run("create", "--owner", "ada", "--policy", "strict")
    with pytest.raises(ConfigurationError, match="no guardrail policy 'lax'"):
        run("create", "--owner", "ada", "--policy", "lax")
    assert [row["policy"] for row in listed()] == ["strict"]
