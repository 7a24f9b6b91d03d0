"""What this package adds to the services process: agents on the chat endpoint, tools over HTTP, tools over MCP."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from fastapi import Request, Response
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from pydantic import BaseModel, ConfigDict

from agents.analyst.graph import build_graph
from agents.analyst.release import NAME
from agents.analyst.turns import Turns
from agents.chat_api import PREFIX, ChatRequest, answer
from agents.mcp_server import McpResponse, create_manager
from agents.tools import ToolContext, call_tool, decide, registry, waiting_calls
from sluice.errors import InvalidRequest, NotFound
from sluice.services import Caller, Services


class ToolRequest(BaseModel):
    """A tool's arguments, and the call's own id where the caller wants it to happen once."""

    model_config = ConfigDict(extra="allow")

    arguments: dict[str, Any] = {}
    id: str | None = None

    def refuse_others(self) -> None:
        """Raise InvalidRequest where there is another field: likely an argument that was not put among them."""
        for field in self.model_extra or ():
            raise InvalidRequest(
                f"A call of a tool has no field '{field[:40]}'.",
                fix='Put the tool\'s arguments inside "arguments".',
                param=field[:40],
            )


def mount(services: Services) -> None:
    """Add the routes."""
    app = services.app
    agents: dict[str, Turns] = {}
    running = AsyncExitStack()
    mcp = create_manager()

    async def start() -> None:
        path = services.settings.home.root / "agents" / "checkpoints.db"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        saver = await running.enter_async_context(AsyncSqliteSaver.from_conn_string(str(path)))
        agents[NAME] = Turns(build_graph(saver))
        await running.enter_async_context(mcp.run())

    services.on_start.append(start)
    services.on_stop.append(running.aclose)

    def context_of(caller: Caller) -> ToolContext:
        return ToolContext(services.settings, services.engine, caller.identity.owner, caller.key, caller.request_id)

    @app.post("/v1/chat/completions")
    async def chat(request: ChatRequest, caller: Caller) -> Response:
        turns = _find_agent(agents, request.model)
        context = context_of(caller)
        said = request.said()
        thread = await turns.thread_of(context, request.metadata and request.metadata.thread_id)
        return await answer(request, turns.run(context, thread, said))

    @app.get("/v1/tools")
    def list_tools(caller: Caller) -> dict[str, Any]:
        return {"data": [tool.as_json() for tool in registry(context_of(caller)).values()]}

    @app.get("/v1/tools/calls")
    def list_waiting(_caller: Caller) -> dict[str, Any]:
        return {"data": [call.as_json() for call in waiting_calls(services.engine)]}

    @app.post("/v1/tools/calls/{call_id}/approve")
    async def approve(call_id: str, caller: Caller) -> dict[str, Any]:
        return (await asyncio.to_thread(decide, context_of(caller), call_id, approved=True)).as_json()

    @app.post("/v1/tools/calls/{call_id}/deny")
    async def deny(call_id: str, caller: Caller) -> dict[str, Any]:
        return (await asyncio.to_thread(decide, context_of(caller), call_id, approved=False)).as_json()

    @app.post("/v1/tools/{name}")
    async def call(name: str, request: ToolRequest, caller: Caller) -> dict[str, Any]:
        request.refuse_others()
        return (await asyncio.to_thread(call_tool, context_of(caller), name, request.arguments, request.id)).as_json()

    # Without sessions there is nothing to listen for (GET) or to end (DELETE): they are refused, as MCP allows.
    @app.post("/mcp")
    async def model_context_protocol(request: Request, caller: Caller) -> Response:
        return McpResponse(mcp, request, context_of(caller))


def _find_agent(agents: Mapping[str, Turns], model: str) -> Turns:
    name = model.removeprefix(PREFIX)
    if not model.startswith(PREFIX) or name not in agents:
        known = ", ".join(f"{PREFIX}{agent}" for agent in agents)
        raise NotFound(f"There is no agent '{model[:100]}'.", fix=f"There are: {known}.", param="model")
    return agents[name]
