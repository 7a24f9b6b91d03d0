"""All keys in memory, so that a request's key is checked in microseconds; the database is asked behind its back."""

import asyncio
import logging
import math
import re
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from sluice.errors import SEND_AGAIN, NotAuthenticated, StateUnavailable
from sluice.identity.budgets import Budget, read_budgets
from sluice.identity.keys import ID_LENGTH, KEY_PATTERN, PREFIX, SECRET_LENGTH, ApiKey
from sluice.identity.limits import Limit, read_limits
from sluice.identity.revisions import ApiKeyRevision
from sluice.identity.scopes import Scope, chain, key_scope
from sluice.settings import KeySettings

log = logging.getLogger(__name__)

WELL_FORMED = re.compile(KEY_PATTERN.encode())
ID = slice(len(PREFIX), len(PREFIX) + ID_LENGTH)
SECRET = slice(len(PREFIX) + ID_LENGTH + 1, None)
START = PREFIX.encode()
DASH = ord("-")
KEY_LENGTH = len(PREFIX) + ID_LENGTH + 1 + SECRET_LENGTH
REFRESH_GAP = 0.05
"""Seconds between two refreshes at least, however many unknown keys are tried."""
REFRESH_WAIT = 2.0
"""Seconds a request with an unknown key waits for the database."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose key a request carries.

    Attributes:
        models: it may use; None: all.
        policy: the guardrail policy it is under, if any.
        scopes: the key's own last, before it all that it stands under.
        budgets: of all these scopes; `limits` too.
        role: what it may do under /admin; None: nothing.
    """

    key_id: str
    owner: str
    models: frozenset[str] | None
    policy: str | None = None
    scopes: tuple[str, ...] = ()
    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()
    role: str | None = None

    def may_use(self, model: str) -> bool:
        """Whether the key's owner allowed it this model."""
        return self.models is None or model in self.models


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: bytes
    valid_until: float
    identity: Identity


# Takes the place of an unknown id, so that it costs what a wrong secret does.
_NOBODY = _Entry(secrets.token_bytes(32), -math.inf, Identity("", "", frozenset()))


@dataclass(frozen=True, slots=True)
class Meters:
    """What is counted for whom: by scope, and what each scope stands under."""

    parents: Mapping[str, str | None]
    budgets: Mapping[str, tuple[Budget, ...]]
    limits: Mapping[str, tuple[Limit, ...]]


NO_METERS = Meters({}, {}, {})


@dataclass(frozen=True, slots=True)
class _Changes:
    entries: dict[bytes, _Entry]
    meters: Meters
    seen: tuple[int, int]
    complete: bool


class Keyring:
    """The cache of keys in one process. Use it from one event loop, between `start` and `stop`.

    Attributes:
        meters: all budgets and limits. When any changes, every identity is a new object.
    """

    def __init__(self, engine: Engine, settings: KeySettings, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._entries: dict[bytes, _Entry] = {}
        self.meters: Meters = NO_METERS
        self._seen: tuple[int, int] = (-1, -1)
        self._refreshed = -math.inf
        self._attempted = -math.inf
        self._lost = False
        self._next: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._refreshing = asyncio.Lock()
        # Its own thread: others' slow work cannot hold up a revocation.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keyring")

    @property
    def age(self) -> float:
        """Seconds since the keys in memory were those of the database."""
        return time.monotonic() - self._refreshed

    async def start(self) -> None:
        """Load all keys and keep them fresh from then on.

        Raises:
            StateUnavailable: the database cannot be used.
        """
        await self._refresh()
        self._spawn(self._poll())

    async def stop(self) -> None:
        """Stop refreshing. A refresh under way is left to end by itself."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def find(self, token: bytes) -> Identity | None:
        """The owner of a key, from memory only; None for every reason why it is not valid.

        Raises:
            StateUnavailable: the database has been lost for longer than `stale_seconds`, the key may have been revoked.
        """
        if len(token) != KEY_LENGTH or not token.startswith(START) or token[SECRET.start - 1] != DASH:
            return None  # the pattern would cost more than all the rest
        entry = self._entries.get(token[ID], _NOBODY)
        matches = compare_digest(sha256(token[SECRET]).digest(), entry.digest)
        if not matches or self._clock() >= entry.valid_until:
            return None
        if time.monotonic() - self._refreshed > self._settings.stale_seconds:
            raise _state_lost()
        return entry.identity

    async def authenticate(self, token: bytes | None) -> Identity:
        """The owner of a key; a key that is not in memory may be new, so the database is asked once.

        Raises:
            NotAuthenticated: missing, malformed, unknown, wrong, expired or revoked.
            StateUnavailable: the database is lost, and the key unknown or known for too long.
        """
        if token is None:
            raise NotAuthenticated
        identity = self.find(token)
        if identity is None and WELL_FORMED.fullmatch(token) and token[ID] not in self._entries:
            await self._refresh_for_unknown()
            identity = self.find(token)
        if identity is None:
            raise NotAuthenticated
        return identity

    async def _refresh_for_unknown(self) -> None:
        if not self._lost:
            try:
                await asyncio.wait_for(asyncio.shield(self._refresh_soon()), REFRESH_WAIT)
            except TimeoutError:
                raise _state_lost() from None
        if self._lost:
            raise _state_lost()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh_seconds)
            await asyncio.shield(self._refresh_soon())

    def _refresh_soon(self) -> asyncio.Task[None]:
        """The next refresh that has not begun, shared by all who want one: one under way may have read too early."""
        if self._next is None:
            self._next = self._spawn(self._refresh_in_turn())
        return self._next

    async def _refresh_in_turn(self) -> None:
        async with self._refreshing:
            await asyncio.sleep(self._attempted + REFRESH_GAP - time.monotonic())
            self._next = None
            try:
                await self._refresh()
            except Exception as error:
                # Whatever it was: the keys in memory go on until they are stale, and the next refresh may succeed.
                if not self._lost:
                    log.warning("API keys go on unrefreshed for %g s: %s", self._settings.stale_seconds, error)
                self._lost = True

    async def _refresh(self) -> None:
        self._attempted = started = time.monotonic()
        changes = await asyncio.get_running_loop().run_in_executor(self._thread, self._load, self._seen, self.meters)
        if changes.complete:
            self._entries = changes.entries
        else:
            self._entries.update(changes.entries)
        self.meters, self._seen, self._refreshed = changes.meters, changes.seen, started
        if self._lost:
            log.warning("API keys are refreshed again.")
        self._lost = False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _load(self, seen: tuple[int, int], meters: Meters) -> _Changes:
        """What changed since; everything, where meters changed or an older database has taken this one's place."""
        with Session(self._engine) as session:
            latest = session.exec(select(ApiKeyRevision.value, ApiKeyRevision.meters)).one()
            if latest == seen:
                return _Changes({}, meters, seen, complete=False)
            complete = latest[1] != seen[1] or latest[0] < seen[0]
            since = -1 if complete else seen[0]
            meters = _read_meters(session)
            keys = session.exec(select(ApiKey).where(col(ApiKey.revision) > since)).all()
            revision = max((key.revision for key in keys), default=latest[0])
            entries = {key.id.encode(): _entry(key, meters) for key in keys}
            return _Changes(entries, meters, (max(latest[0], revision), latest[1]), complete)


def identity_of(key: ApiKey, token: str) -> Identity | None:
    """The owner of a key's row, if `token` is that key and it is valid now."""
    entry = _entry(key, NO_METERS)
    matches = compare_digest(sha256(token.encode()[SECRET]).digest(), entry.digest)
    return entry.identity if matches and time.time() < entry.valid_until else None


def _read_meters(session: Session) -> Meters:
    parents = dict(session.exec(select(Scope.id, Scope.parent)).all())
    return Meters(parents, read_budgets(session), read_limits(session))


def _entry(key: ApiKey, meters: Meters) -> _Entry:
    valid_until = math.inf if key.expires_at is None else key.expires_at.timestamp()
    scopes = (*chain(key.scope, meters.parents), key_scope(key.id))
    return _Entry(
        digest=bytes.fromhex(key.secret_hash),
        valid_until=-math.inf if key.revoked_at else valid_until,
        identity=Identity(
            key.id,
            key.owner,
            None if key.models is None else frozenset(key.models),
            key.policy,
            scopes,
            tuple(budget for scope in scopes for budget in meters.budgets.get(scope, ())),
            tuple(limit for scope in scopes for limit in meters.limits.get(scope, ())),
            key.role,
        ),
    )


def _state_lost() -> StateUnavailable:
    return StateUnavailable("API keys cannot be verified: the database is lost.", fix=SEND_AGAIN)
