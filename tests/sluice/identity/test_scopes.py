import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from sluice.audit import entries
from sluice.errors import Conflict, InvalidRequest, NotFound
from sluice.identity import create_key, create_scope, list_scopes
from sluice.identity.scopes import chain, keys_below, subtree


def test_scopes_stand_under_one_another(engine: Engine) -> None:
    create_scope(engine, "organisation", "acme", by="root")
    create_scope(engine, "team", "search", parent="organisation:acme", by="root")
    create_scope(engine, "user", "ada@acme.example", parent="team:search", by="root")
    assert [(scope.id, scope.parent) for scope in list_scopes(engine)] == [
        ("organisation:acme", None),
        ("team:search", "organisation:acme"),
        ("user:ada@acme.example", "team:search"),
    ]
    assert [(entry.actor, entry.action) for entry in entries(engine, "team:search")] == [("root", "team.created")]


def test_keys_count_for_all_above_them(engine: Engine) -> None:
    create_scope(engine, "organisation", "acme", by="root")
    create_scope(engine, "team", "search", parent="organisation:acme", by="root")
    create_scope(engine, "organisation", "other", by="root")
    ids = {
        scope: create_key(engine, owner="ada", scope=scope)[0].id
        for scope in ("organisation:acme", "team:search", "organisation:other")
    }
    create_key(engine, owner="bob")
    with Session(engine) as session:
        assert set(session.exec(keys_below("organisation:acme"))) == {ids["organisation:acme"], ids["team:search"]}
        assert list(session.exec(keys_below("team:search"))) == [ids["team:search"]]
        assert list(session.exec(keys_below("user:nobody"))) == []
        assert set(session.exec(subtree("organisation:acme"))) == {"organisation:acme", "team:search"}
        assert list(session.exec(subtree("key:nobody"))) == []


@pytest.mark.parametrize(
    ("kind", "name", "parent", "problem"),
    [
        ("company", "acme", None, "no kind of scope"),
        ("team", "", None, "no name"),
        ("team", "a b", None, "no name"),
        ("team", "x" * 65, None, "no name"),
        ("team", "a:b", None, "no name"),
        ("organisation", "acme", "organisation:other", "stands under nothing"),
        ("team", "search", "user:ada", "stands under organisation"),
    ],
)
def test_what_is_no_scope_is_refused(engine: Engine, kind: str, name: str, parent: str | None, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        create_scope(engine, kind, name, parent=parent, by="root")


def test_unknown_parents_and_names_taken_are_refused(engine: Engine) -> None:
    with pytest.raises(NotFound, match="organisation:none"):
        create_scope(engine, "team", "search", parent="organisation:none", by="root")
    with pytest.raises(NotFound, match="team:none"):
        create_key(engine, owner="ada", scope="team:none")
    create_scope(engine, "team", "search", by="root")
    with pytest.raises(Conflict, match="there already"):
        create_scope(engine, "team", "search", by="root")


def test_a_chain_ends_also_where_the_database_holds_a_circle() -> None:
    assert chain("a", {"a": "b", "b": "a"}) == ("b", "a")
    assert chain(None, {}) == ()
