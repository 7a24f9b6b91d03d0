"""Every call of a tool, by whoever it was made: recorded before it runs, its result kept, its side effect once.

A call goes `waiting` → `approved` → `running` → `done` or `failed`; only tools that need a person's approval wait, and
`denied` ends there. Its id comes from the caller or is new; the same id again gets what is known of that call instead
of a second one. A call whose process died is taken up by whoever asks for it next, unless its tool has a side effect
that cannot be repeated.
"""

import logging
import re
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, col, select, update

from agents.tools.claims import is_abandoned, own_claim
from agents.tools.records import ToolCall, finish, keep_new, lineage_id
from agents.tools.registry import find_tool, registry
from agents.tools.tool import Result, Tool, ToolContext
from sluice import audit
from sluice.errors import Conflict, InvalidRequest, NotAllowed, NotFound, SluiceError

log = logging.getLogger(__name__)

SETTLED = ("done", "denied")
WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,100}")
CUT_OFF = "The call was cut off in the middle, and whether it took effect is not known."


def call_tool(context: ToolContext, name: str, arguments: Mapping[str, Any], call_id: str | None = None) -> ToolCall:
    """Call a tool, or take up the call of that id.

    Returns:
        the call: `done` with its result; `waiting` for a person, `running` elsewhere, or `denied`, without one.

    Raises:
        NotFound: there is no such tool.
        InvalidRequest: an argument is wrong, or `call_id` is no possible id.
        Conflict: `call_id` is another call's.
        SluiceError: what the tool's `check` found, such as an argument that names nothing that is there; or what the
            tool met, which is kept as the result of a call with a side effect.
    """
    tool = find_tool(registry(context), name)
    parsed = tool.parse(arguments)
    if call_id is not None and not WELL_FORMED.fullmatch(call_id):
        raise InvalidRequest("A call's id has 1 to 100 letters, digits, or . _ : -", param="id")
    tool.check(parsed)
    call = ToolCall(
        id=call_id or f"call-{secrets.token_hex(8)}",
        tool=name,
        caller=context.owner,
        arguments=parsed.model_dump(mode="json"),
        state="waiting" if tool.approval else "approved",
    )
    return _perform(context, tool, keep_new(context, call, audited=tool.side_effect))


def decide(context: ToolContext, call_id: str, *, approved: bool) -> ToolCall:
    """Say yes or no to a waiting call, as the owner of `context`. A yes runs it at once, on behalf of its caller.

    The same answer again changes nothing; after a process died in the middle, it takes the call up.

    Raises:
        NotFound: no such call waits for anybody.
        NotAllowed: it is one's own.
        Conflict: it was decided the other way.
        SluiceError: what the tool met.
    """
    with Session(context.engine, expire_on_commit=False) as session:
        call = session.get(ToolCall, call_id)
        tool = None if call is None else registry(context).get(call.tool)
        if call is None or tool is None or not tool.approval:
            raise NotFound(f"No call '{call_id[:100]}' waits for approval.", fix="See: sluice agents pending")
        if call.caller == context.owner:
            raise NotAllowed(
                f"{context.owner} asked for {call_id}, so another person must decide.",
                fix="Have someone else run 'sluice agents approve' with a key of their own.",
            )
        _note_decision(session, call, by=context.owner, state="approved" if approved else "denied")
        if (call.state == "denied") == approved:
            raise Conflict(f"{call_id} is {call.state} already, by {call.decided_by}.")
    return _perform(context, tool, call) if approved else call


def waiting_calls(engine: Engine) -> list[ToolCall]:
    """The calls that wait for a person, oldest first.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        chosen = select(ToolCall).where(ToolCall.state == "waiting").order_by(col(ToolCall.at), col(ToolCall.id))
        return list(session.exec(chosen))


def _note_decision(session: Session, call: ToolCall, *, by: str, state: str) -> None:
    """Keep the first answer to a call; `call` is afterwards as the database has it."""
    change = update(ToolCall).where(col(ToolCall.id) == call.id, col(ToolCall.state) == "waiting")
    if session.exec(change.values(state=state, decided_by=by)).rowcount == 1:
        audit.append(session, actor=by, action=f"tool.{state}", subject=lineage_id(call.id), detail={"tool": call.tool})
    session.commit()
    session.refresh(call)


def _perform(context: ToolContext, tool: Tool, call: ToolCall) -> ToolCall:
    if call.state == "waiting" or call.state in SETTLED:
        return call
    if call.state == "failed" and tool.side_effect:
        raise _kept_failure(call)
    if call.state == "running" and not is_abandoned(call.result or own_claim()):
        return call
    if call.state == "running" and tool.side_effect and not tool.idempotent:
        finish(context, call, tool, "failed", {"error": CUT_OFF, "status": 500})
        raise SluiceError(CUT_OFF)
    if not _claim(context.engine, call):
        return call  # another process was faster
    try:
        result = tool.run(tool.parse(call.arguments))
    except SluiceError as error:
        finish(context, call, tool, "failed", {"error": str(error), "status": error.status})
        raise
    except BaseException:  # a panic in Rust is no Exception, and must not leave the call running for ever
        log.exception("tool %s failed in call %s", tool.name, call.id)
        finish(context, call, tool, "failed", {"error": "The tool failed unexpectedly.", "status": 500})
        raise
    return finish(context, call, tool, "done", result)


def _claim(engine: Engine, call: ToolCall) -> bool:
    """Take the call for this process, if it is still as it was read."""
    with Session(engine) as session:
        seen = (col(ToolCall.id) == call.id, col(ToolCall.state) == call.state, col(ToolCall.at) == call.at)
        call.claim(own_claim())
        change = update(ToolCall).where(*seen).values(state=call.state, result=call.result, at=call.at)
        taken = session.exec(change).rowcount == 1
        session.commit()
    return taken


def _kept_failure(call: ToolCall) -> SluiceError:
    kept: Result = call.result or {}
    error = SluiceError(str(kept.get("error")))
    error.status = int(kept.get("status", 500))
    return error
