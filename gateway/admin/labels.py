"""`/admin/labels` and `/admin/approvals`: which versions are in use. The gate rules here as everywhere."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlalchemy import Engine, tuple_
from sqlmodel import Session, col, select

from gateway.admin.access import Developer, Operator, Viewer
from gateway.admin.pages import After, Given, Limit, Page, Text, page
from prompts.registry import check_label, find_version
from sluice.errors import InvalidRequest, NotFound
from sluice.lineage.graph import LineageNode
from sluice.promotion import Approval, Candidate, Kind, Label, approve, promote
from sluice.settings import PromotionSettings

Name = Annotated[str, Path(description="Of a prompt, a model, an index or an agent.")]


class NewVersion(Given):
    """The version that a label is to be on; of a prompt, the first seven digits are enough."""

    version: str


class ShownLabel(BaseModel):
    """Where a label is. `id` is `<kind>:<name>:<label>`."""

    id: str
    kind: Kind
    name: str
    label: str
    version: str
    promotion_id: str


class NewApproval(Given):
    """A yes to a candidate, such as `model:churn@3`, in the name of the key's owner."""

    candidate: str
    note: Text = ""


class ShownApproval(BaseModel):
    """One person's yes."""

    candidate: str
    by: str
    note: str
    at: datetime


def install(api: APIRouter, engine: Engine, settings: PromotionSettings) -> None:
    """Add the endpoints. They are for keys that stand under nothing: labels concern everybody."""

    @api.get("/labels", summary="List labels and the versions they are on.")
    def list_(  # pyright: ignore[reportUnusedFunction]
        caller: Viewer, limit: Limit = 100, after: After = None, kind: Kind | None = None, name: str | None = None
    ) -> Page[ShownLabel]:
        caller.need_everything("Labels")
        place = tuple_(col(Label.kind), col(Label.name), col(Label.label))
        chosen = select(Label).order_by(col(Label.kind), col(Label.name), col(Label.label))
        if kind is not None:
            chosen = chosen.where(Label.kind == kind)
        if name is not None:
            chosen = chosen.where(Label.name == name)
        if after is not None:
            parts = after.split(":")
            if len(parts) != 3:
                raise InvalidRequest("'after' is no label's id.", param="after")
            chosen = chosen.where(place > tuple_(*parts))
        with Session(engine) as session:
            return page(session.exec(chosen.limit(limit + 1)).all(), limit, _show)

    @api.post("/labels/{kind}/{name:path}/{label}", summary="Move a label to a version.")
    def move(caller: Developer, kind: Kind, name: Name, label: str, new: NewVersion) -> ShownLabel:  # pyright: ignore[reportUnusedFunction]
        caller.need_everything("Labels")
        check_label(label)
        if label in settings.guarded or f"{kind}:{label}" in settings.approved:
            caller.need("operator", f"Moving the guarded label '{label}'")
        candidate = _candidate(engine, Candidate.parse(f"{kind}:{name}@{new.version}"))
        # By the owner's name alone: it is compared with the names of authors and approvers.
        return _show(promote(engine, candidate, label, by=caller.owner, settings=settings))

    @api.get("/approvals", summary="List the approvals of a candidate.")
    def approvals(caller: Viewer, candidate: str) -> Page[ShownApproval]:  # pyright: ignore[reportUnusedFunction]
        caller.need_everything("Approvals")
        one = Candidate.parse(candidate)
        chosen = select(Approval).where(
            Approval.kind == one.kind, Approval.name == one.name, Approval.version == one.version
        )
        with Session(engine) as session:
            return Page(data=[_show_approval(row) for row in session.exec(chosen.order_by(col(Approval.at)))])

    @api.post("/approvals", status_code=201, summary="Approve a candidate that has been through its gate.")
    def add_approval(caller: Operator, new: NewApproval) -> ShownApproval:  # pyright: ignore[reportUnusedFunction]
        caller.need_everything("Approvals")
        return _show_approval(approve(engine, Candidate.parse(new.candidate), by=caller.owner, note=new.note))


def _candidate(engine: Engine, candidate: Candidate) -> Candidate:
    """The candidate, if there is such a version.

    Raises:
        NotFound: there is none.
    """
    if candidate.kind == "prompt":
        return Candidate("prompt", candidate.name, find_version(engine, candidate.name, candidate.version).version)
    with Session(engine) as session:
        if session.get(LineageNode, candidate.id) is None:
            raise NotFound(f"There is no {candidate}.", param="version")
    return candidate


def _show(label: Label) -> ShownLabel:
    return ShownLabel(id=f"{label.kind}:{label.name}:{label.label}", **label.model_dump())


def _show_approval(approval: Approval) -> ShownApproval:
    candidate = Candidate(approval.kind, approval.name, approval.version).id
    return ShownApproval(candidate=candidate, by=approval.by, note=approval.note, at=approval.at)
