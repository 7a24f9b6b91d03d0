"""The platform's tools: one registry, used by the analyst, over HTTP and over MCP."""

from agents.tools.calls import call_tool, decide, waiting_calls
from agents.tools.records import ToolCall
from agents.tools.registry import registry
from agents.tools.tool import Tool, ToolContext

__all__ = ["Tool", "ToolCall", "ToolContext", "call_tool", "decide", "registry", "waiting_calls"]
