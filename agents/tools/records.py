"""The table of tool calls, and what is written when one is asked for and when it ends."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, String
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel

from agents.tools.claims import Claim
from agents.tools.tool import Result, Tool, ToolContext
from sluice import audit, lineage
from sluice.database import UtcDateTime
from sluice.errors import Conflict


class ToolCall(SQLModel, table=True):
    """One call.

    Attributes:
        caller: the owner of the key it was made with.
        state: `waiting`, `approved`, `running`, `done`, `failed` or `denied`.
        result: the tool's; of a failed call `error` and `status`; of a running one the process that runs it.
        at: when it came into its state.
    """

    __tablename__: ClassVar[str] = "tool_call"  # pyright: ignore[reportIncompatibleVariableOverride]

    id: str = Field(primary_key=True, sa_type=String)
    tool: str = Field(sa_type=String)
    caller: str = Field(sa_type=String)
    arguments: dict[str, Any] = Field(sa_type=JSON)
    state: str = Field(sa_type=String)
    result: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True), nullable=True)
    decided_by: str | None = Field(default=None, sa_type=String)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=UtcDateTime)

    def claim(self, claim: Claim) -> None:
        """Note that the process of `claim` runs it."""
        self.state, self.result, self.at = "running", claim, datetime.now(UTC)

    def as_json(self) -> dict[str, Any]:
        """How it is shown: a result only where there is one."""
        shown = {"id": self.id, "tool": self.tool, "caller": self.caller, "arguments": self.arguments}
        settled = self.result if self.state in ("done", "failed") else None
        return {**shown, "state": self.state, "decided_by": self.decided_by, "result": settled}


def lineage_id(call_id: str) -> str:
    """A call's id in the lineage and the audit log."""
    return f"tool_call:{call_id}"


def keep_new(context: ToolContext, call: ToolCall, *, audited: bool) -> ToolCall:
    """Keep a call before anything of it happens, or find the one of that id.

    Raises:
        Conflict: the id belongs to another caller's call, or to one of another tool or with other arguments.
    """
    with Session(context.engine, expire_on_commit=False) as session:
        known = session.get(ToolCall, call.id)
        if known is None:
            session.add(call)
            if audited:
                detail = {"tool": call.tool, "arguments": call.arguments, "request": context.request_id}
                subject = lineage_id(call.id)
                audit.append(session, actor=call.caller, action="tool.requested", subject=subject, detail=detail)
            try:
                session.commit()
            except IntegrityError:  # the same id at the same moment
                session.rollback()
                known = session.get_one(ToolCall, call.id)
            else:
                return call
    if (known.tool, known.caller, known.arguments) != (call.tool, call.caller, call.arguments):
        raise Conflict(f"The id '{call.id[:100]}' belongs to another call.", fix="Send a new id, or none.", param="id")
    return known


def finish(context: ToolContext, call: ToolCall, tool: Tool, state: str, result: Result) -> ToolCall:
    """Keep a call's end: state, result, lineage and audit entry in one transaction."""
    call.state, call.result, call.at = state, result, datetime.now(UTC)
    with Session(context.engine, expire_on_commit=False) as session:
        kept = session.merge(call)
        attributes = {"tool": call.tool, "arguments": call.arguments, "caller": call.caller, "state": state}
        if call.decided_by:
            attributes["decided_by"] = call.decided_by
        role = "request" if context.owner == call.caller else "approval"
        sources = [(role, f"request:{context.request_id}")] if context.request_id else []
        sources += [("used", source) for source in result.get("sources", [])]
        # A failed call may yet be repeated and made something of: what an id names in the lineage never changes.
        if state == "done":
            lineage.record(session, lineage_id(call.id), attributes, sources)
        if tool.side_effect:
            detail = {"tool": call.tool} | ({"error": result["error"]} if state == "failed" else {})
            action = f"tool.{state}"
            audit.append(session, actor=call.caller, action=action, subject=lineage_id(call.id), detail=detail)
        session.commit()
        return kept
