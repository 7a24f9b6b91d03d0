"""The revision counter that tells every process's cache what changed.

Every change of a key, a scope, a budget or a limit takes the next revision from a one-row counter and holds that row until
it commits. So revisions become visible in their order, and a cache that asks for "everything after the last I saw" misses
nothing.
"""

from typing import ClassVar

from sqlalchemy import BigInteger, update
from sqlmodel import Field, Session, SQLModel, col


class ApiKeyRevision(SQLModel, table=True):
    """One row: the revision of the latest change to any key; `meters`: to any scope, budget or limit."""

    __tablename__: ClassVar[str] = "api_key_revision"  # pyright: ignore[reportIncompatibleVariableOverride]

    id: int = Field(default=1, primary_key=True)
    value: int = Field(sa_type=BigInteger)
    meters: int = Field(default=0, sa_type=BigInteger)


def next_revision(session: Session) -> int:
    """For a change of a key's own row."""
    return session.exec(
        update(ApiKeyRevision).values(value=col(ApiKeyRevision.value) + 1).returning(col(ApiKeyRevision.value))
    ).scalar_one()


def next_meters(session: Session) -> int:
    """For a change of what keys are counted by: scopes, budgets, limits."""
    return session.exec(
        update(ApiKeyRevision).values(meters=col(ApiKeyRevision.meters) + 1).returning(col(ApiKeyRevision.meters))
    ).scalar_one()
