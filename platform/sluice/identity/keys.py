"""API keys as they lie in the database, and the three things done to them.

Every change takes the next revision from a one-row counter and holds that row until it commits. So revisions become
visible in their order, and a cache that asks for "everything after the last I saw" misses nothing.
"""

import hashlib
import re
import secrets
import string
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import ClassVar

from sqlalchemy import JSON, BigInteger, Engine, String, update
from sqlmodel import Field, Session, SQLModel, col, select

from sluice.database import UtcDateTime
from sluice.errors import InvalidRequest, NotFound
from sluice.identity.budgets import rows_of_key

PREFIX = "sk-sluice-"
ID_LENGTH = 12
SECRET_LENGTH = 40
KEY_PATTERN = f"{PREFIX}([a-z0-9]{{{ID_LENGTH}}})-([A-Za-z0-9]{{{SECRET_LENGTH}}})"


class ApiKey(SQLModel, table=True):
    """A key without its secret."""

    __tablename__: ClassVar[str] = "api_key"  # pyright: ignore[reportIncompatibleVariableOverride]

    id: str = Field(primary_key=True, sa_type=String)
    secret_hash: str = Field(repr=False, sa_type=String)
    owner: str = Field(sa_type=String)
    name: str = Field(sa_type=String)
    models: list[str] | None = Field(sa_type=JSON(none_as_null=True), nullable=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revision: int = Field(index=True, sa_type=BigInteger)
    policy: str | None = Field(default=None, sa_type=String)


class ApiKeyRevision(SQLModel, table=True):
    """One row: the revision of the latest change to any key."""

    __tablename__: ClassVar[str] = "api_key_revision"  # pyright: ignore[reportIncompatibleVariableOverride]

    id: int = Field(default=1, primary_key=True)
    value: int = Field(sa_type=BigInteger)


def create_key(
    engine: Engine,
    *,
    owner: str,
    name: str = "",
    models: Iterable[str] | None = None,
    expires_at: datetime | None = None,
    budgets: Mapping[str, int] | None = None,
    policy: str | None = None,
) -> tuple[ApiKey, str]:
    """Make a key that may use `models` (None: all of them); returns it with its text, which is kept nowhere.

    Args:
        budgets: tokens by window (minute, hour, day, month, ever); each call must fit all of them.
        policy: the guardrail policy it is under instead of the default one; whoever calls knows that there is one.

    Raises:
        InvalidRequest: no owner, an expiry that has passed or has no time zone, or a budget that is none.
        StateUnavailable: the database cannot be used.
    """
    now = datetime.now(UTC)
    if not owner.strip():
        raise InvalidRequest("A key needs an owner.", param="owner")
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now):
        raise InvalidRequest("A key's expiry must lie in the future and name its time zone.", param="expires_at")
    secret = _random(string.ascii_letters + string.digits, SECRET_LENGTH)
    key = ApiKey(
        id=_random(string.ascii_lowercase + string.digits, ID_LENGTH),
        secret_hash=hashlib.sha256(secret.encode()).hexdigest(),
        owner=owner.strip(),
        name=name,
        models=None if models is None else sorted(set(models)),
        created_at=now,
        expires_at=expires_at,
        revision=0,
        policy=policy,
    )
    with Session(engine, expire_on_commit=False) as session:
        key.revision = _next_revision(session)
        session.add_all([key, *rows_of_key(key.id, budgets or {})])
        session.commit()
    return key, f"{PREFIX}{key.id}-{secret}"


def list_keys(engine: Engine) -> list[ApiKey]:
    """All keys, revoked and expired ones too, oldest first.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        return list(session.exec(select(ApiKey).order_by(col(ApiKey.created_at), col(ApiKey.id))))


def revoke_key(engine: Engine, key_id: str) -> ApiKey:
    """End a key, named by its id or its whole text (the secret is not checked: whoever holds the id may revoke).

    A key that is revoked already stays as it is.

    Raises:
        NotFound: there is no such key; the message never repeats a secret.
        StateUnavailable: the database cannot be used.
    """
    if whole := re.fullmatch(KEY_PATTERN, key_id):
        key_id = whole[1]
    elif not re.fullmatch(f"[a-z0-9]{{{ID_LENGTH}}}", key_id):
        raise NotFound("This is neither a key's id nor a whole key.", fix="'sluice keys list' shows the ids.")
    with Session(engine, expire_on_commit=False) as session:
        revision = _next_revision(session)
        key = session.get(ApiKey, key_id)
        if key is None:
            raise NotFound(f"There is no key {key_id}.", fix="'sluice keys list' shows the ids.")
        if key.revoked_at is None:
            key.revoked_at, key.revision = datetime.now(UTC), revision
            session.commit()
        return key


def _next_revision(session: Session) -> int:
    return session.exec(
        update(ApiKeyRevision).values(value=col(ApiKeyRevision.value) + 1).returning(col(ApiKeyRevision.value))
    ).scalar_one()


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
