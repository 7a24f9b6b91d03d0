"""`/admin/audit`: who did what to what, and whether the log still says so."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from gateway.admin.access import Caller, Viewer
from gateway.admin.pages import Limit, Page, page
from sluice.audit import AuditEntry, Head, broken_links, head
from sluice.errors import NotAllowed


class ShownEntry(BaseModel):
    """One entry; `hash` covers all its other fields, `previous` among them."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    previous: str
    hash: str


class Verified(BaseModel):
    """Whether the chain is whole, and else the first entry where it is not.

    `head` is the newest entry: kept elsewhere and asked for again, it shows that nothing was cut off since.
    """

    whole: bool
    broken: int | None
    entries: int
    head: str


def install(api: APIRouter, engine: Engine) -> None:
    """Add the endpoints."""

    @api.get("/audit", summary="List the entries, oldest first.")
    def list_(  # pyright: ignore[reportUnusedFunction]
        caller: Viewer,
        limit: Limit = 100,
        after: Annotated[
            int, Query(ge=0, lt=2**63, description="The number of the last entry of the page before.")
        ] = 0,
        subject: str | None = None,
    ) -> Page[ShownEntry]:
        """Of everything, or about one `subject`: a key that stands under something has to name one below it."""
        chosen = select(AuditEntry).where(AuditEntry.number > after).order_by(col(AuditEntry.number))
        with Session(engine) as session:
            if caller.scope is not None:
                _check_subject(caller, session, subject)
            if subject is not None:
                chosen = chosen.where(AuditEntry.subject == subject)
            rows = session.exec(chosen.limit(limit + 1)).all()
            return page(rows, limit, lambda row: ShownEntry.model_validate(row, from_attributes=True))

    @api.get("/audit/verify", summary="Check the chain of hashes.")
    def verify(caller: Viewer, pinned: Annotated[str | None, Query(alias="head")] = None) -> Verified:  # pyright: ignore[reportUnusedFunction]
        caller.need_everything("The chain's hashes")
        newest = head(engine)
        broken = next(broken_links(engine, None if pinned is None else Head.parse(pinned)), None)
        return Verified(whole=broken is None, broken=broken, entries=newest.number, head=str(newest))


def _check_subject(caller: Caller, session: Session, subject: str | None) -> None:
    if subject is None:
        raise NotAllowed(
            f"The whole log concerns everybody, and this key stands under {caller.scope}.",
            fix="Name a subject below it, such as ?subject=team:search",
        )
    scope = subject.partition("/")[0]  # a budget's and a limit's id begins with its scope
    caller.check_scope(session, scope, models=())
