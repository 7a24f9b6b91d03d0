"""The tools there are, for the analyst and for everybody else's agents."""

from agents.tools import (
    customer_features,
    drift_report,
    predict_churn,
    query_sql,
    search_documents,
    start_training,
)
from agents.tools.tool import Tool, ToolContext
from sluice.errors import NotFound

_TOOLS = (search_documents, query_sql, customer_features, predict_churn, drift_report, start_training)


def registry(context: ToolContext) -> dict[str, Tool]:
    """All tools by name, ready to run for the caller of `context`."""
    tools = [module.tool(context) for module in _TOOLS]
    return {tool.name: tool for tool in tools}


def find_tool(tools: dict[str, Tool], name: str) -> Tool:
    """The tool of that name.

    Raises:
        NotFound: there is none; names those there are.
    """
    if name not in tools:
        raise NotFound(f"There is no tool '{name[:100]}'.", fix=f"There are: {', '.join(tools)}.", param="name")
    return tools[name]
