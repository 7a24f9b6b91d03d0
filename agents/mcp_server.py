"""The same tools over MCP (streamable HTTP), with the same keys, for everybody's agents.

Stateless: every request carries its key and is complete in itself, so any worker can answer it, and there is no session
that would outlive a revoked key.
"""

import asyncio
import importlib.metadata
import json
from typing import Any

import mcp_types as types
from fastapi import Request, Response
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send

from agents.tools import ToolContext, call_tool, registry
from sluice.errors import SluiceError

CALL_ID = "sluice/call-id"
"""In a call's `_meta`: the id under which it happens once, however often it is sent."""


def create_manager() -> StreamableHTTPSessionManager:
    """What answers `/mcp`; `run()` must be entered first."""
    server = Server("sluice", version=importlib.metadata.version("sluice"), on_list_tools=_list, on_call_tool=_call)
    return StreamableHTTPSessionManager(server, json_response=True, stateless=True)


class McpResponse(Response):
    """Hands a request, whose caller is known, to the manager."""

    def __init__(self, manager: StreamableHTTPSessionManager, request: Request, context: ToolContext) -> None:
        super().__init__()
        request.state.tool_context = context
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._manager.handle_request(scope, receive, send)


async def _list(
    context: "ServerRequestContext[Any, Request]", _params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    tools = [
        types.Tool(
            name=tool.name,
            description=tool.description,
            input_schema=tool.schema,
            annotations=types.ToolAnnotations(read_only_hint=not tool.side_effect, idempotent_hint=tool.idempotent),
        )
        for tool in registry(_tool_context(context)).values()
    ]
    return types.ListToolsResult(tools=tools)


async def _call(
    context: "ServerRequestContext[Any, Request]", params: types.CallToolRequestParams
) -> types.CallToolResult:
    call_id = dict(context.meta or {}).get(CALL_ID)
    try:
        call = await asyncio.to_thread(
            call_tool,
            _tool_context(context),
            params.name,
            params.arguments or {},
            None if call_id is None else str(call_id),
        )
    except SluiceError as error:
        return types.CallToolResult(content=[types.TextContent(type="text", text=str(error))], is_error=True)
    shown = call.as_json()
    text = types.TextContent(type="text", text=json.dumps(shown))
    return types.CallToolResult(content=[text], structured_content=shown)


def _tool_context(context: "ServerRequestContext[Any, Request]") -> ToolContext:
    assert context.request is not None  # it came over HTTP
    return context.request.state.tool_context
