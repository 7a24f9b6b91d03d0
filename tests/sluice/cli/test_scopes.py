import json

import pytest
from typer.testing import CliRunner

from sluice.audit import entries
from sluice.cli.scopes import scopes
from sluice.database import connect
from sluice.errors import Conflict, InvalidRequest, NotFound


def run(*arguments: str) -> str:
    return CliRunner().invoke(scopes, arguments, catch_exceptions=False).stdout


def test_scopes_are_made_and_listed_below_one_another(empty_database: str) -> None:
    assert "create organisation acme" in run("list")
    assert run("create", "organisation", "acme") == "organisation:acme\n"
    run("create", "user", "bob")
    run("create", "team", "search", "--under", "organisation:acme")
    run("create", "user", "ada", "--under", "team:search")
    lines = run("list").splitlines()[1:]
    assert [line.split("  20")[0].rstrip() for line in lines] == [
        "organisation:acme",
        "  team:search",
        "    user:ada",
        "user:bob",
    ]
    assert [(row["id"], row["parent"]) for row in json.loads(run("list", "--json"))] == [
        ("organisation:acme", None),
        ("team:search", "organisation:acme"),
        ("user:ada", "team:search"),
        ("user:bob", None),
    ]
    engine = connect(empty_database)
    assert {entry.actor for entry in entries(engine)} == {"ops"}
    engine.dispose()


@pytest.mark.usefixtures("empty_database")
def test_what_is_no_scope_is_refused() -> None:
    run("create", "organisation", "acme")
    for error, arguments in (
        (Conflict, ("organisation", "acme")),
        (InvalidRequest, ("group", "acme")),
        (InvalidRequest, ("team", "a/b")),
        (InvalidRequest, ("team", "x", "--under", "user:ada")),
        (NotFound, ("team", "x", "--under", "organisation:nowhere")),
    ):
        with pytest.raises(error):
            run("create", *arguments)
