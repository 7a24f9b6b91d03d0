import json

import pytest
from typer.testing import CliRunner

from sluice.cli.limits import limits
from sluice.cli.scopes import scopes
from sluice.errors import InvalidRequest, NotFound


def run(*arguments: str) -> str:
    return CliRunner().invoke(limits, arguments, catch_exceptions=False).stdout


@pytest.fixture
def team(empty_database: str) -> str:
    assert CliRunner().invoke(scopes, ["create", "team", "search"]).exit_code == 0
    return "team:search"


def test_limits_are_set_changed_listed_and_removed(team: str) -> None:
    assert "There are none" in run("list")
    run("set", team, "--requests", "5")
    assert run("set", team, "--requests", "600", "--concurrent", "4").splitlines() == [
        "team:search/requests: 600 requests a minute",
        "team:search/concurrent: 4 requests at once",
    ]
    assert "600 requests a minute" in run("list", team)
    assert "There are none" in run("list", "team:other")
    run("remove", f"{team}/requests")
    assert json.loads(run("list", "--json")) == [
        {"id": f"{team}/concurrent", "scope": team, "what": "concurrent", "amount": 4}
    ]
    with pytest.raises(NotFound):
        run("remove", f"{team}/requests")


def test_what_is_no_limit_is_refused(team: str) -> None:
    with pytest.raises(InvalidRequest, match="Nothing is limited"):
        run("set", team)
    with pytest.raises(InvalidRequest, match="A limit of 0 is none"):
        run("set", team, "--tokens", "0")
    with pytest.raises(NotFound):
        run("set", "team:nowhere", "--tokens", "5")
    assert json.loads(run("list", "--json")) == []
