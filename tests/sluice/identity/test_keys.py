import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, text

from sluice.audit import entries
from sluice.database import connect
from sluice.errors import InvalidRequest, NotFound
from sluice.identity import create_key, list_budgets, list_keys, revoke_key, set_key_policy
from sluice.identity.keys import KEY_PATTERN


def test_key_is_stored_without_its_secret(engine: Engine) -> None:
    key, token = create_key(engine, owner=" ada ", name="notebook", models=["b", "a", "b"])
    assert re.fullmatch(KEY_PATTERN, token)
    assert token.startswith(f"sk-sluice-{key.id}-")
    with engine.connect() as connection:
        rows = str(connection.execute(text("SELECT * FROM api_key")).all())
    secret = token[-40:]
    assert secret not in rows
    assert secret not in repr(key)
    assert key.secret_hash not in repr(key)
    assert (key.owner, key.name, key.models) == ("ada", "notebook", ["a", "b"])


def test_listed_keys_are_what_was_created_in_order(engine: Engine) -> None:
    zone = timezone(timedelta(hours=5))
    expiry = datetime(2099, 1, 1, 12, 30, tzinfo=zone)
    first, _ = create_key(engine, owner="ada")
    second, _ = create_key(engine, owner="bob", expires_at=expiry)
    revoke_key(engine, first.id)
    listed = list_keys(engine)
    assert [key.id for key in listed] == [first.id, second.id]
    assert listed[0].models is None
    assert listed[0].revoked_at is not None
    assert listed[1].expires_at == expiry
    assert {key.created_at.tzinfo for key in listed} == {UTC}
    assert abs(listed[0].created_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_all_models_are_null_in_the_database(engine: Engine) -> None:
    create_key(engine, owner="ada")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM api_key WHERE models IS NULL")).scalar() == 1


@pytest.mark.parametrize("whole", [False, True])
def test_revoking_is_idempotent(engine: Engine, whole: bool) -> None:
    key, token = create_key(engine, owner="ada")
    name = token if whole else key.id
    first, again = revoke_key(engine, name), revoke_key(engine, name)
    assert first.revoked_at is not None
    assert (again.revoked_at, again.revision) == (first.revoked_at, first.revision)


@pytest.mark.parametrize("name", ["abcdefghijkl", "sk-sluice-abc", "", "sk-sluice-abcdefghijkl-" + "S" * 40])
def test_revoking_unknown_key_names_no_secret(engine: Engine, name: str) -> None:
    with pytest.raises(NotFound) as raised:
        revoke_key(engine, name)
    assert "SSSS" not in str(raised.value)


def test_failed_revocation_holds_no_lock(engine: Engine) -> None:
    with pytest.raises(NotFound):
        revoke_key(engine, "abcdefghijkl")
    create_key(engine, owner="ada")


@pytest.mark.parametrize(
    "wrong",
    [
        {"owner": "  "},
        {"owner": "ada", "expires_at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"owner": "ada", "expires_at": datetime(2099, 1, 1)},
    ],
)
def test_key_that_could_never_work_is_refused(engine: Engine, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        create_key(engine, **wrong)  # pyright: ignore[reportArgumentType]
    assert list_keys(engine) == []


def test_budgets_in_money_come_with_the_key_or_not_at_all(engine: Engine) -> None:
    key, _ = create_key(engine, owner="ada", budgets={"day": 5}, money={"month": 7}, by="ops")
    found = list_budgets(engine)[f"key:{key.id}"]
    assert [(one.unit, one.window, one.amount) for one in found] == [("money", "month", 7), ("tokens", "day", 5)]
    with pytest.raises(InvalidRequest, match="no window"):
        create_key(engine, owner="ada", money={"week": 7})
    assert len(list_keys(engine)) == 1


def test_an_expiry_is_kept_in_utc(engine: Engine) -> None:
    east = timezone(timedelta(hours=2))
    key, _ = create_key(engine, owner="ada", expires_at=datetime(2099, 1, 31, tzinfo=east))
    assert key.expires_at == list_keys(engine)[0].expires_at == datetime(2099, 1, 30, 22, tzinfo=UTC)
    assert key.expires_at.tzinfo is UTC
    beyond = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12)))
    with pytest.raises(InvalidRequest, match="expiry must lie"):
        create_key(engine, owner="ada", expires_at=beyond)


def test_a_policy_is_set_taken_away_and_audited_once_for_each_change(engine: Engine) -> None:
    key, _ = create_key(engine, owner="ada")
    changed = set_key_policy(engine, key.id, "strict", by="ops")
    assert (changed.policy, changed.revision > key.revision) == ("strict", True)
    assert set_key_policy(engine, key.id, "strict", by="ops").revision == changed.revision
    assert set_key_policy(engine, key.id, None, by="bea").policy is None
    log = [(entry.actor, entry.detail) for entry in entries(engine, f"key:{key.id}") if entry.action != "key.created"]
    assert log == [
        ("ops", {"policy": "strict", "before": None}),
        ("bea", {"policy": None, "before": "strict"}),
    ]
    with pytest.raises(NotFound):
        set_key_policy(engine, "abcdefghijkl", "strict", by="ops")


def test_revisions_become_visible_in_order(engine: Engine, database_url: str) -> None:
    """A reader that polls for what is newer than the last it saw meets every change of four concurrent writers."""
    if engine.dialect.name == "sqlite":  # who waits there for the one lock may wait long on a busy machine
        engine = connect(f"{database_url}?timeout=600")

    def write(writer: int) -> None:
        for _ in range(10):
            key, _ = create_key(engine, owner=str(writer))
            revoke_key(engine, key.id)

    seen, revisions = 0, list[int]()
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        finished = False
        while not finished:
            finished = all(writer.done() for writer in writers)
            with engine.connect() as connection:
                query = text("SELECT revision, revoked_at FROM api_key WHERE revision > :seen ORDER BY revision")
                found = connection.execute(query, {"seen": seen}).all()
            revisions += [revision for revision, revoked_at in found if revoked_at is not None]
            seen = max([seen, *(revision for revision, _ in found)])
    for writer in writers:
        writer.result()
    assert seen == 80
    assert len(revisions) == len(set(revisions)) == 40
