import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sluice.cli.budgets import budgets
from sluice.cli.scopes import scopes
from sluice.errors import InvalidRequest, NotFound


def run(*arguments: str) -> str:
    return CliRunner().invoke(budgets, arguments, catch_exceptions=False).stdout


@pytest.fixture
def team(empty_database: str) -> str:
    assert CliRunner().invoke(scopes, ["create", "team", "search"]).exit_code == 0
    return "team:search"


def test_budgets_are_set_changed_listed_and_removed(team: str) -> None:
    assert "There are none" in run("list")
    run("set", team, "--tokens", "5", "--per", "day")
    assert run("set", team, "--tokens", "1000000", "--per", "day", "--soft") == (
        "team:search/tokens/day: 1,000,000 tokens per day, soft\n"
    )
    assert "0.000125 of money in all" in run("set", team, "--money", "0.000125", "--per", "ever")
    assert json.loads(run("list", "--json")) == [
        {"id": f"{team}/money/ever", "scope": team, "money": "0.000125", "window": "ever", "hard": True},
        {"id": f"{team}/tokens/day", "scope": team, "tokens": 1_000_000, "window": "day", "hard": False},
    ]
    assert re.search(r"team:search/tokens/day +1,000,000 tokens per day +soft", run("list", team))
    assert "There are none" in run("list", "team:other")
    run("remove", f"{team}/tokens/day")
    assert [one["id"] for one in json.loads(run("list", "--json"))] == [f"{team}/money/ever"]
    with pytest.raises(NotFound):
        run("remove", f"{team}/tokens/day")


def test_a_model_and_a_key_are_scopes_too(team: str, tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text("routes: {small: {url: 'http://127.0.0.1:1/v1'}}\n")
    run("set", "model:small", "--tokens", "5", "--per", "day")
    for scope in ("model:large", "key:abcdefghijkl", "team:nowhere", "organisation:search"):
        with pytest.raises(NotFound):
            run("set", scope, "--tokens", "5", "--per", "day")
    assert [one["scope"] for one in json.loads(run("list", "--json"))] == ["model:small"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--per", "day"), "in tokens or in money"),
        (("--tokens", "5", "--money", "5", "--per", "day"), "in tokens or in money"),
        (("--tokens", "0", "--per", "day"), "A budget of 0 tokens is none"),
        (("--tokens", "5", "--per", "week"), "'week' is no window"),
        (("--money", "0", "--per", "day"), "of money is none"),
        (("--money", "5x", "--per", "day"), "'5x' is no amount of money"),
    ],
)
def test_what_is_no_budget_is_refused(team: str, arguments: tuple[str, ...], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(problem)):
        run("set", team, *arguments)
    assert json.loads(run("list", "--json")) == []


def test_no_scope_at_all_is_named_as_such(team: str) -> None:
    with pytest.raises(InvalidRequest, match="'search' is no scope"):
        run("set", "search", "--tokens", "5", "--per", "day")
