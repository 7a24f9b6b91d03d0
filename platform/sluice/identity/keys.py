"""API keys as they lie in the database, and the three things done to them."""

import hashlib
import re
import secrets
import string
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import ClassVar, Literal, get_args

from sqlalchemy import JSON, BigInteger, Engine, String
from sqlmodel import Field, Session, SQLModel, col, select

from sluice import audit
from sluice.database import UtcDateTime
from sluice.errors import InvalidRequest, NotFound
from sluice.identity.budgets import budget_row, plain_amount
from sluice.identity.revisions import next_revision

PREFIX = "sk-sluice-"
ID_LENGTH = 12
SECRET_LENGTH = 40
KEY_PATTERN = f"{PREFIX}([a-z0-9]{{{ID_LENGTH}}})-([A-Za-z0-9]{{{SECRET_LENGTH}}})"

Role = Literal["viewer", "developer", "operator", "admin"]
"""What a key may do under /admin, each more than the one before; a key without one may call models and no more."""
ROLES: tuple[Role, ...] = get_args(Role)


class ApiKey(SQLModel, table=True):
    """A key without its secret. `scope` is the user, team or organisation that it stands under."""

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
    scope: str | None = Field(default=None, index=True, sa_type=String)
    role: str | None = Field(default=None, sa_type=String)


def create_key(
    engine: Engine,
    *,
    owner: str,
    name: str = "",
    models: Iterable[str] | None = None,
    expires_at: datetime | None = None,
    budgets: Mapping[str, int] | None = None,
    money: Mapping[str, int] | None = None,
    policy: str | None = None,
    scope: str | None = None,
    role: str | None = None,
    by: str | None = None,
) -> tuple[ApiKey, str]:
    """Make a key that may use `models` (None: all of them); returns it with its text, which is kept nowhere.

    Args:
        budgets: tokens by window (minute, hour, day, month, ever); each call must fit all of them.
        money: the same in billionths of the currency.
        policy: the guardrail policy it is under instead of the default one; whoever calls knows that there is one.
        scope: the user, team or organisation that it stands under, for good.
        role: what it may do under /admin; None: nothing.
        by: who makes it, for the audit log; the owner where nobody else does.

    Raises:
        InvalidRequest: no owner, an expiry that has passed or has no time zone, a budget that is none, or no such role.
        NotFound: there is no such scope.
        StateUnavailable: the database cannot be used.
    """
    now = datetime.now(UTC)
    if not owner.strip():
        raise InvalidRequest("A key needs an owner.", param="owner")
    if expires_at is not None:
        expires_at = _in_utc(expires_at, now)
    if role is not None and role not in ROLES:
        raise InvalidRequest(f"'{role[:64]}' is no role.", fix=f"Take one of: {', '.join(ROLES)}.", param="role")
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
        scope=scope,
        role=role,
    )
    rows = [budget_row(f"key:{key.id}", amount, window) for window, amount in (budgets or {}).items()]
    rows += [budget_row(f"key:{key.id}", amount, window, "money") for window, amount in (money or {}).items()]
    with Session(engine, expire_on_commit=False) as session:
        key.revision = next_revision(session)
        if scope is not None:
            _refuse_unknown_scope(session, scope)
        session.add_all([key, *rows])
        detail = {
            "owner": key.owner,
            "name": name,
            "scope": scope,
            "role": role,
            "models": key.models,
            "policy": policy,
            "expires_at": expires_at and expires_at.isoformat(),
            "budgets": {row.id.partition("/")[2]: plain_amount(row) for row in rows},
        }
        audit.append(session, actor=by or key.owner, action="key.created", subject=f"key:{key.id}", detail=detail)
        session.commit()
    return key, f"{PREFIX}{key.id}-{secret}"


def list_keys(engine: Engine) -> list[ApiKey]:
    """All keys, revoked and expired ones too, oldest first.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        return list(session.exec(select(ApiKey).order_by(col(ApiKey.created_at), col(ApiKey.id))))


def revoke_key(engine: Engine, key_id: str, *, by: str | None = None) -> ApiKey:
    """End a key, named by its id or its whole text (the secret is not checked: whoever holds the id may revoke).

    A key that is revoked already stays as it is.

    Args:
        by: who ends it, for the audit log; the owner where nobody else does.

    Raises:
        NotFound: there is no such key; the message never repeats a secret.
        StateUnavailable: the database cannot be used.
    """
    if whole := re.fullmatch(KEY_PATTERN, key_id):
        key_id = whole[1]
    elif not re.fullmatch(f"[a-z0-9]{{{ID_LENGTH}}}", key_id):
        raise NotFound("This is neither a key's id nor a whole key.", fix="'sluice keys list' shows the ids.")
    with Session(engine, expire_on_commit=False) as session:
        revision = next_revision(session)
        key = session.get(ApiKey, key_id)
        if key is None:
            raise NotFound(f"There is no key {key_id}.", fix="'sluice keys list' shows the ids.")
        if key.revoked_at is None:
            key.revoked_at, key.revision = datetime.now(UTC), revision
            audit.append(session, actor=by or key.owner, action="key.revoked", subject=f"key:{key.id}")
            session.commit()
        return key


def set_key_policy(engine: Engine, key_id: str, policy: str | None, *, by: str) -> ApiKey:
    """Put a key under a guardrail policy; None: the default one.

    Args:
        policy: whoever calls knows that there is one.
        by: who does it, for the audit log.

    Raises:
        NotFound: there is no such key.
        StateUnavailable: the database cannot be used.
    """
    with Session(engine, expire_on_commit=False) as session:
        revision = next_revision(session)
        key = session.get(ApiKey, key_id)
        if key is None:
            raise NotFound(f"There is no key '{key_id[:ID_LENGTH]}'.", fix="'sluice keys list' shows the ids.")
        if key.policy != policy:
            detail = {"policy": policy, "before": key.policy}
            key.policy, key.revision = policy, revision
            audit.append(session, actor=by, action="key.policy_set", subject=f"key:{key.id}", detail=detail)
            session.commit()
        return key


def _in_utc(expires_at: datetime, now: datetime) -> datetime:
    try:
        if expires_at.tzinfo is not None and expires_at > now:
            return expires_at.astimezone(UTC)
    except OverflowError:  # the last hours of the year 9999, west of Greenwich
        pass
    raise InvalidRequest("A key's expiry must lie in the future and name its time zone.", param="expires_at")


def _refuse_unknown_scope(session: Session, scope: str) -> None:
    from sluice.identity.scopes import find_scope  # which needs the keys' table

    find_scope(session, scope)


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
