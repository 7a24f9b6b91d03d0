"""The table of kept bodies: what a request said and what it was answered, until its policy's days are over."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from sqlalchemy import Engine, LargeBinary, String, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel

from sluice.database import UtcDateTime

EXPIRED_ROWS = 500
"""Deleted in one transaction: SQLite has one write lock, which usage records need too."""


class RequestBody(SQLModel, table=True):
    """A request as it went upstream and its answer as it was sent, JSON mostly; both after their policy's redaction.

    Attributes:
        response: None where there was none, or an error in its place; a streamed one is put together.
    """

    __tablename__: ClassVar[str] = "request_body"  # pyright: ignore[reportIncompatibleVariableOverride]

    request_id: str = Field(primary_key=True, sa_type=String)
    at: datetime = Field(sa_type=UtcDateTime)
    request: bytes = Field(sa_type=LargeBinary)
    response: bytes | None = Field(default=None, sa_type=LargeBinary)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)


_table = SQLModel.metadata.tables["request_body"]


def insert_bodies(engine: Engine, bodies: Sequence[RequestBody]) -> None:
    """Write them in one transaction; those that are there already stay.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    dialect = sqlite if engine.dialect.name == "sqlite" else postgresql
    with engine.begin() as connection:
        statement = dialect.insert(_table).on_conflict_do_nothing()
        connection.execute(statement, [body.model_dump() for body in bodies])


def delete_expired(engine: Engine, now: datetime) -> int:
    """Delete what has expired; how many.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    expired = select(_table.c.request_id).where(_table.c.expires_at <= now).limit(EXPIRED_ROWS)
    deleted = 0
    while True:
        with engine.begin() as connection:
            count = connection.execute(delete(_table).where(_table.c.request_id.in_(expired))).rowcount
        deleted += count
        if count < EXPIRED_ROWS:
            return deleted


def find_body(session: Session, request_id: str, now: datetime) -> RequestBody | None:
    """What is kept of a request; what has expired is gone, also before it is deleted."""
    found = session.get(RequestBody, request_id)
    return found if found is not None and found.expires_at > now else None
