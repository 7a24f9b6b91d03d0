"""The analyst: router → planner → executor → answer, each step written to a checkpoint before the next begins.

Where a process dies, the step it was in is done again by whoever asks again in the same thread. A step that is done
again decides the same (temperature 0), and the tool call it makes has the same id, so that it happens once.
"""

import hashlib
from typing import Any, TypeAlias

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from sqlmodel import Session

from agents.analyst.deciding import Decisions
from agents.analyst.facts import NO_TOOL, WHICH_CUSTOMER, Facts, facts_of
from agents.analyst.planner import choose_tool, fill_arguments
from agents.analyst.pointing import point_at
from agents.analyst.release import record_release, release_of
from agents.analyst.router import find_customer, rank_routes
from agents.analyst.state import State
from agents.analyst.tasks import ROUTES
from agents.tools import ToolContext, call_tool, registry
from agents.tools.records import lineage_id
from sluice import lineage
from sluice.errors import SluiceError

Update = dict[str, Any]
Graph: TypeAlias = CompiledStateGraph[State, ToolContext, State, State]


def build_graph(saver: "BaseCheckpointSaver[Any]") -> Graph:
    """The state machine on a checkpointer."""
    builder = StateGraph(State, context_schema=ToolContext)
    builder.add_node("router", _route)
    builder.add_node("planner", _plan)
    builder.add_node("executor", _execute)
    builder.add_node("answer", _answer)
    builder.add_edge(START, "router")
    builder.add_conditional_edges("router", lambda state: "planner" if ROUTES[state["route"]].tools else "answer")
    builder.add_conditional_edges("planner", lambda state: "answer" if state["missing"] else "executor")
    builder.add_edge("executor", "answer")
    builder.add_edge("answer", END)
    return builder.compile(saver)


def _route(state: State, runtime: Runtime[ToolContext]) -> Update:
    decisions = Decisions(runtime.context, state["said"][-1])
    route = decisions.decide("route", rank_routes(decisions.question), {r.name: r.about for r in ROUTES.values()})
    return {"route": route, **_noted(state, decisions, runtime)}


def _plan(state: State, runtime: Runtime[ToolContext]) -> Update:
    decisions = Decisions(runtime.context, state["said"][-1])
    customer = find_customer(state["said"])
    tools = registry(runtime.context)
    name = choose_tool(decisions, state["route"], customer, tools)
    try:
        arguments = fill_arguments(decisions, tools[name], customer, runtime.context)
    except SluiceError as error:
        return {"tool": name, "missing": _told(error), **_noted(state, decisions, runtime)}
    missing = "" if arguments is not None else WHICH_CUSTOMER
    return {"tool": name, "arguments": arguments or {}, "missing": missing, **_noted(state, decisions, runtime)}


def _execute(state: State, runtime: Runtime[ToolContext]) -> Update:
    call_id = call_id_of(runtime.context.owner, state)
    tool = registry(runtime.context)[state["tool"]]
    try:
        call = call_tool(runtime.context, state["tool"], state["arguments"], call_id).as_json()
    except SluiceError as error:
        # A side effect that failed stays failed: asking again would only hear the same.
        told = str(error) if tool.side_effect else _told(error)
        call = {"id": call_id, "tool": tool.name, "state": "failed", "result": {"error": told}}
    if call["state"] not in ("done", "denied", "failed"):
        interrupt(call)
    step = {"called": tool.name, "id": call_id, "state": call["state"]}
    runtime.stream_writer({"step": step})
    return {"call": call, "steps": [*state["steps"], step]}


def _answer(state: State, runtime: Runtime[ToolContext]) -> Update:
    decisions = Decisions(runtime.context, state["said"][-1])
    facts = facts_of(state["call"]) if state["call"] else Facts(state["missing"] or NO_TOOL)
    statement = point_at(decisions, facts.statements)
    answer = f"{statement}\n\n{facts.details}" if statement else facts.details
    noted = _noted(state, decisions, runtime)
    runtime.stream_writer({"text": answer})
    answer_id = f"answer:{_hash(runtime.context.owner, state, 'answer')}"
    _record(runtime.context, state, answer, answer_id, noted["model_calls"])
    return {"answer": answer, "answer_id": answer_id, **noted}


def call_id_of(owner: str, state: State) -> str:
    """The id of a turn's tool call: the same however often the step is done again."""
    return f"call-{_hash(owner, state, 'call')}"


def _hash(owner: str, state: State, what: str) -> str:
    return hashlib.sha256("\n".join([owner, state["thread"], state["turn"], what]).encode()).hexdigest()[:16]


def _noted(state: State, decisions: Decisions, runtime: Runtime[ToolContext]) -> Update:
    """What was decided, for the state; and at once for whoever looks on."""
    for step in decisions.steps:
        runtime.stream_writer({"step": step})
    return {
        "steps": [*state["steps"], *decisions.steps],
        "model_calls": [*state["model_calls"], *decisions.model_calls],
    }


def _told(error: SluiceError) -> str:
    """An error that the person who asked should read as the answer; others end the request.

    Without a budget, a key, or a platform that works, the turn is not over: it goes on when it is asked again.
    """
    if error.status >= 500 or error.status in (401, 429):
        raise error
    return str(error)


def _record(context: ToolContext, state: State, answer: str, answer_id: str, model_calls: list[dict[str, Any]]) -> None:
    tools = registry(context)
    release = release_of(context.settings, tools)
    sources = [("agent", release.id)]
    if state["call"]:
        sources.append(("tool", lineage_id(state["call"]["id"])))
    asked = [context.request_id, *(call["request"] for call in model_calls)]
    sources += [("request", f"request:{request_id}") for request_id in asked if request_id]
    with Session(context.engine) as session:
        record_release(session, release, context.settings, tools)
        attributes = {"question": state["said"][-1][:500], "answer": answer[:500], "thread": state["thread"]}
        lineage.record(session, answer_id, attributes, sources)
        session.commit()
