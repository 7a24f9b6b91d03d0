import asyncio
import string
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from sluice.database import connect
from sluice.errors import NotAuthenticated, StateUnavailable
from sluice.identity import (
    Budget,
    Identity,
    Keyring,
    create_key,
    create_scope,
    remove_budget,
    revoke_key,
    set_budget,
    set_limit,
)
from sluice.identity.keyring import REFRESH_GAP
from sluice.settings import KeySettings
from tests.doubles.tcp_proxy import proxied

FAST = KeySettings(refresh_seconds=0.05, stale_seconds=600)
NEVER = KeySettings.model_construct(refresh_seconds=3_600, stale_seconds=7_200)
"""Only a request makes a keyring with these refresh itself."""
UNKNOWN = b"sk-sluice-" + b"z" * 12 + b"-" + b"S" * 40


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is merely slow is waited for."""
    monkeypatch.setattr("sluice.identity.keyring.REFRESH_WAIT", 60)


@asynccontextmanager
async def running(
    engine: Engine, settings: KeySettings = FAST, clock: Callable[[], float] = time.time
) -> AsyncIterator[Keyring]:
    keyring = Keyring(engine, settings, clock)
    await keyring.start()
    try:
        yield keyring
    finally:
        await keyring.stop()


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not (await found if isinstance(found := condition(), Awaitable) else found):
            await asyncio.sleep(0.01)


def outcome(keyring: Keyring, token: bytes) -> object:
    try:
        return keyring.find(token)
    except StateUnavailable:
        return StateUnavailable


async def test_key_is_found_with_its_owner_and_models(engine: Engine) -> None:
    key, token = create_key(engine, owner="ada", models=["small"])
    _, other = create_key(engine, owner="bob")
    async with running(engine) as keyring:
        identity = keyring.find(token.encode())
        assert identity == Identity(key.id, "ada", frozenset({"small"}), scopes=(f"key:{key.id}",))
        assert await keyring.authenticate(token.encode()) == identity
        assert (identity.may_use("small"), identity.may_use("large")) == (True, False)
        assert (await keyring.authenticate(other.encode())).may_use("large")
        assert 0 <= keyring.age < 600


async def test_key_comes_with_its_budgets_also_when_it_is_new(engine: Engine) -> None:
    _, plain = create_key(engine, owner="ada")
    first, limited = create_key(engine, owner="ada", budgets={"day": 500, "month": 9_000})
    async with running(engine) as keyring:
        assert (await keyring.authenticate(plain.encode())).budgets == ()
        assert (await keyring.authenticate(limited.encode())).budgets == (
            Budget(f"key:{first.id}/tokens/day", f"key:{first.id}", 500, "day"),
            Budget(f"key:{first.id}/tokens/month", f"key:{first.id}", 9_000, "month"),
        )
        later, new = create_key(engine, owner="bob", budgets={"ever": 7})
        scope = f"key:{later.id}"
        assert (await keyring.authenticate(new.encode())).budgets == (Budget(f"{scope}/tokens/ever", scope, 7, "ever"),)
        revoke_key(engine, first.id)
        await until(lambda: keyring.find(limited.encode()) is None)


async def test_key_counts_for_all_that_it_stands_under_and_changes_reach_it(engine: Engine) -> None:
    for kind, name, parent in [
        ("organisation", "acme", None),
        ("team", "search", "organisation:acme"),
        ("user", "ada", "team:search"),
    ]:
        create_scope(engine, kind, name, parent=parent, by="root")
    key, token = create_key(engine, owner="ada", scope="user:ada", budgets={"day": 5})
    _, other = create_key(engine, owner="bob", scope="organisation:acme")
    async with running(engine) as keyring:
        chained = ("organisation:acme", "team:search", "user:ada", f"key:{key.id}")
        before = await keyring.authenticate(token.encode())
        assert before.scopes == chained
        money = set_budget(engine, "organisation:acme", 7, "month", "money", hard=False, by="root")
        limit = set_limit(engine, "team:search", "requests", 3, by="root")
        model = set_budget(engine, "model:m", 9, "ever", by="root")
        await until(lambda: keyring.meters.budgets.get("model:m") == (model,))
        after = await keyring.authenticate(token.encode())
        assert [budget.id for budget in after.budgets] == [money.id, f"key:{key.id}/tokens/day"]
        assert after.limits == (limit,)
        assert (await keyring.authenticate(other.encode())).budgets == (money,)
        remove_budget(engine, money.id, by="root")
        await until(lambda: len(keyring.find(token.encode()).budgets) == 1)  # pyright: ignore[reportOptionalMemberAccess]


async def test_every_wrong_key_gets_the_same_answer(engine: Engine) -> None:
    _, good = create_key(engine, owner="ada")
    now = datetime.now(UTC)
    _, expired = create_key(engine, owner="ada", expires_at=now + timedelta(hours=1))
    revoked_key, revoked = create_key(engine, owner="ada")
    revoke_key(engine, revoked_key.id)
    wrong_secret = good[:-1] + ("a" if good[-1] != "a" else "b")
    tokens = [
        None, b"", b"Bearer", UNKNOWN, wrong_secret.encode(), expired.encode(), revoked.encode(),
        good.encode() + b"\n", b" " + good.encode(), good.upper().encode(), good.replace("-", "_").encode(),
        good[:22].encode() + b"+" + good[23:].encode(), "sk-sluice-é".encode(), bytes(range(256)), b"\xff" * 63,
        good.encode() + b"x" * 1_000_000, b"x" * 1_000_000, good[:-1].encode(),
    ]  # fmt: skip
    async with running(engine, clock=lambda: time.time() + 3600) as keyring:
        assert await keyring.authenticate(good.encode())
        answers: set[str] = set()
        for token in tokens:
            with pytest.raises(NotAuthenticated) as raised:
                await keyring.authenticate(token)
            answers.add(repr(vars(raised.value)))
        assert len(answers) == 1


@given(st.binary(max_size=80) | st.text(string.printable, max_size=80).map(str.encode))
def test_no_bytes_break_the_search(token: bytes) -> None:
    assert Keyring(None, FAST).find(token) is None  # pyright: ignore[reportArgumentType]


async def test_key_expires_by_the_clock(engine: Engine) -> None:
    expiry = datetime.now(UTC) + timedelta(hours=1)
    _, token = create_key(engine, owner="ada", expires_at=expiry)
    now = expiry.timestamp() - 0.001
    async with running(engine, clock=lambda: now) as keyring:
        assert keyring.find(token.encode())
        now = expiry.timestamp()
        assert keyring.find(token.encode()) is None


async def test_new_key_works_at_once(engine: Engine) -> None:
    async with running(engine, NEVER) as keyring:
        _, token = create_key(engine, owner="ada")
        assert keyring.find(token.encode()) is None
        async with asyncio.timeout(60):
            assert (await keyring.authenticate(token.encode())).owner == "ada"


async def test_revocation_is_seen_in_another_process_with_its_next_refresh(engine: Engine, database_url: str) -> None:
    assert KeySettings().refresh_seconds < 1
    _, token = create_key(engine, owner="ada")
    code = (
        "import sys; from sluice.database import connect; from sluice.identity import revoke_key\n"
        "engine = connect(sys.argv[1]); engine.connect().close(); input(); revoke_key(engine, sys.argv[2])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, database_url, token], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    async with running(engine, KeySettings()) as keyring:
        assert keyring.find(token.encode())
        await asyncio.to_thread(process.communicate, "\n", 120)
        revoked = time.monotonic()
        await until(lambda: keyring.age < time.monotonic() - revoked)
        assert keyring.find(token.encode()) is None


async def test_flood_of_unknown_keys_asks_the_database_rarely(engine: Engine) -> None:
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(engine, "before_cursor_execute", count)
    async with running(engine, KeySettings(refresh_seconds=1)) as keyring:
        statements, began = 0, time.monotonic()

        async def flood() -> None:
            while time.monotonic() < began + 1:
                with pytest.raises(NotAuthenticated):
                    await keyring.authenticate(UNKNOWN)

        await asyncio.gather(*(flood() for _ in range(50)))
        assert 1 <= statements <= (time.monotonic() - began) / REFRESH_GAP + 2


async def test_wrong_secret_of_known_key_does_not_ask_the_database(engine: Engine) -> None:
    _, token = create_key(engine, owner="ada")
    async with running(engine, NEVER) as keyring:
        age = keyring.age
        with pytest.raises(NotAuthenticated):
            await keyring.authenticate(token[:23].encode() + b"S" * 40)
        assert keyring.age > age


async def test_older_database_put_back_is_loaded_anew(engine: Engine) -> None:
    _, kept = create_key(engine, owner="ada")
    gone_key, gone = create_key(engine, owner="bob")
    async with running(engine) as keyring:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM api_key WHERE id = :id"), {"id": gone_key.id})
            connection.execute(text("UPDATE api_key_revision SET value = 1"))
        await until(lambda: keyring.find(gone.encode()) is None)
        assert keyring.find(kept.encode())


async def test_start_fails_without_tables(database_url: str) -> None:
    keyring = Keyring(connect(database_url), FAST)
    with pytest.raises(StateUnavailable, match="has not been set up"):
        await keyring.start()
    await keyring.stop()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_lost_server_is_outlived_for_stale_seconds(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = create_key(engine, owner="ada")
    with proxied(database_url) as (proxy, url):
        async with running(connect(url)) as keyring:
            await _lose_and_regain(keyring, token.encode(), proxy.cut, proxy.mend, monkeypatch)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_lost_file_is_outlived_for_stale_seconds(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = create_key(engine, owner="ada")

    def rename(old: str, new: str) -> None:
        with engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    async with running(engine) as keyring:
        await _lose_and_regain(
            keyring,
            token.encode(),
            lambda: rename("api_key_revision", "elsewhere"),
            lambda: rename("elsewhere", "api_key_revision"),
            monkeypatch,
        )


async def _lose_and_regain(
    keyring: Keyring,
    token: bytes,
    lose: Callable[[], None],
    regain: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lose()
    with pytest.raises(StateUnavailable):
        await keyring.authenticate(UNKNOWN)
    assert keyring.find(token)
    monkeypatch.setattr(keyring, "_refreshed", keyring._refreshed - FAST.stale_seconds)
    assert outcome(keyring, token) is StateUnavailable
    assert keyring.age > FAST.stale_seconds
    with pytest.raises(StateUnavailable):
        await keyring.authenticate(token)
    with pytest.raises(NotAuthenticated):
        await keyring.authenticate(b"malformed")
    regain()
    await until(lambda: isinstance(outcome(keyring, token), Identity))
    with pytest.raises(NotAuthenticated):
        await keyring.authenticate(UNKNOWN)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_hanging_database_blocks_neither_loop_nor_known_keys(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.identity.keyring.REFRESH_WAIT", 0.2)
    _, token = create_key(engine, owner="ada")
    go_on = threading.Event()
    async with running(engine, KeySettings(refresh_seconds=0.05)) as keyring:
        event.listen(engine, "before_cursor_execute", lambda *_: go_on.wait(60))
        with pytest.raises(StateUnavailable):
            await keyring.authenticate(UNKNOWN)
        assert keyring.find(token.encode())
        assert not go_on.is_set()
        go_on.set()
