"""One turn of one thread: begun, taken up where it stopped, or answered again from what was kept."""

import secrets
from asyncio import Lock
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast
from weakref import WeakValueDictionary

from langchain_core.runnables import RunnableConfig

from agents.analyst.facts import facts_of
from agents.analyst.graph import Graph
from agents.analyst.state import State, new_turn
from agents.tools import ToolContext
from agents.tools.calls import WELL_FORMED
from sluice.errors import InvalidRequest, NotFound

OWN_PREFIX = "thread-"


@dataclass(frozen=True)
class Step:
    """Something was decided or called; for whoever looks on."""

    told: dict[str, Any]


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class End:
    """The turn is answered, or waits.

    Attributes:
        told: thread, state, ids and tokens, as the answer's `metadata` shows them.
    """

    told: dict[str, Any]


Event = Step | Text | End


class Turns:
    """Runs turns on a graph; two requests for one thread come one after the other."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    async def thread_of(self, context: ToolContext, wanted: str | None) -> str:
        """The thread that a request names, or a new one.

        A name of the client's own begins a thread where there is none, so that a client can take up a turn of which it
        never got an answer. A name that the platform gave must be known.

        Raises:
            InvalidRequest: it is no possible name.
            NotFound: the platform gave this caller no such thread.
        """
        if wanted is None:
            return f"{OWN_PREFIX}{secrets.token_hex(8)}"
        if not WELL_FORMED.fullmatch(wanted):
            raise InvalidRequest("A thread's id has 1 to 100 letters, digits, or . _ : -", param="metadata.thread_id")
        if wanted.startswith(OWN_PREFIX):
            known = await self._graph.aget_state(_config(context, wanted))
            if not known.values:
                raise NotFound(
                    f"There is no thread '{wanted}' of yours.",
                    fix="Leave metadata.thread_id out to begin one, or name it as you like.",
                    param="metadata.thread_id",
                )
        return wanted

    async def run(
        self, context: ToolContext, thread: str, messages: Sequence[tuple[str, str]]
    ) -> AsyncGenerator[Event]:
        """Answer the last of `messages` (role and text of each), yielding what happens as it happens.

        The same messages in the same thread are the same turn: it goes on where it stopped, and once it is answered,
        the kept answer comes again.

        Raises:
            SluiceError: what ended the attempt; the turn goes on when it is asked again.
        """
        config = _config(context, thread)
        turn = new_turn(thread, messages)
        lock = self._locks.setdefault(str(config), Lock())
        async with lock:
            known = await self._graph.aget_state(config)
            same = known.values.get("turn") == turn["turn"]
            if same and not known.next:
                yield Text(known.values["answer"])
                yield _end(cast("State", known.values))
                return
            waiting: dict[str, Any] | None = None
            modes: list[Literal["updates", "custom"]] = ["updates", "custom"]
            stream = self._graph.astream(
                None if same else turn, config, context=context, stream_mode=modes, durability="sync"
            )
            async for mode, chunk in cast("AsyncIterator[tuple[str, Any]]", stream):
                if mode == "custom":
                    yield Step(chunk["step"]) if "step" in chunk else Text(chunk["text"])
                elif "__interrupt__" in chunk:
                    waiting = chunk["__interrupt__"][0].value
            if waiting is not None:
                yield Text(facts_of(waiting).details)
            yield _end(cast("State", (await self._graph.aget_state(config)).values), waiting)


def _config(context: ToolContext, thread: str) -> RunnableConfig:
    # A thread's name has no slash, so nobody's owner and thread together look like another's.
    return {"configurable": {"thread_id": f"{context.owner}/{thread}"}}


def _end(state: State, waiting: dict[str, Any] | None = None) -> End:
    call = waiting or state["call"]
    calls = state["model_calls"]
    return End(
        {
            "thread_id": state["thread"],
            "state": waiting["state"] if waiting else "answered",
            "answer_id": None if waiting else state["answer_id"],
            "tool_call_id": call.get("id"),
            "steps": state["steps"],
            "model_calls": len(calls),
            **{kind: sum(call[kind] for call in calls) for kind in ("prompt_tokens", "completion_tokens")},
        }
    )
