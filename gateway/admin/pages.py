"""Lists a page at a time, in the order of their ids, as OpenAI's API has them."""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy.orm import Mapped
from sqlmodel import Session
from sqlmodel.sql.expression import SelectOfScalar

Row = TypeVar("Row")
Shown = TypeVar("Shown")

Limit = Annotated[int, Query(ge=1, le=1000, description="Items of a page.")]
After = Annotated[str | None, Query(max_length=300, description="The id of the last item of the page before.")]
Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A name for people to read: no line breaks or other control characters."""


class Given(BaseModel):
    """What a client sends: no unknown fields, and nothing taken for what it is not."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[Shown]):
    """One page; `has_more`: there is another, after the id of the last item."""

    object: Literal["list"] = "list"
    data: list[Shown]
    has_more: bool = False


def rows_after(
    session: Session, chosen: SelectOfScalar[Row], id_: Mapped[str], after: str | None, limit: int
) -> Sequence[Row]:
    """The rows of the page after an id, and one more if there is another page."""
    if after is not None:
        chosen = chosen.where(id_ > after)
    return session.exec(chosen.order_by(id_).limit(limit + 1)).all()


def page(rows: Sequence[Row], limit: int, show: Callable[[Row], Shown]) -> Page[Shown]:
    """The page that begins with these rows, of which there is one more than fits if there is another page."""
    return Page(data=[show(row) for row in rows[:limit]], has_more=len(rows) > limit)
