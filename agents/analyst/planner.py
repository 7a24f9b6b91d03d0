"""The second step: which tool, and with which arguments."""

from typing import Any

from agents.analyst.deciding import Decisions
from agents.analyst.queries import plan_query
from agents.analyst.router import rank_tools
from agents.analyst.shortlist import Shortlist
from agents.analyst.table_shape import read_shape
from agents.analyst.tasks import ABOUT_ONE_CUSTOMER, ROUTES
from agents.tools import Tool, ToolContext


def choose_tool(decisions: Decisions, route: str, customer: str | None, tools: dict[str, Tool]) -> str:
    """One of the route's tools. A customer who is named settles whether it is one about a single customer.

    Raises:
        SluiceError: the gateway's own, where the model had to be asked.
    """
    names = ROUTES[route].tools
    fitting = [name for name in names if (name in ABOUT_ONE_CUSTOMER) == (customer is not None)] or list(names)
    ranked = [tool for tool in rank_tools(decisions.question) if tool.name in fitting]
    return decisions.decide("tool", ranked, {name: tools[name].description for name in fitting})


def fill_arguments(
    decisions: Decisions, tool: Tool, customer: str | None, context: ToolContext
) -> dict[str, Any] | None:
    """The tool's arguments, from the question's text where they stand there; None where the customer is missing.

    Raises:
        SluiceError: the gateway's own, where the model had to be asked; a table that is not there yet.
    """
    if tool.name in ABOUT_ONE_CUSTOMER:
        return None if customer is None else {"customer": customer}
    if tool.name == "search_documents":
        return {"query": decisions.question[:2000], "index": _choose_index(decisions, context)}
    if tool.name == "start_training":
        return {"alert": _newest_alert(context)}
    if tool.name == "query_sql":
        return {"query": plan_query(decisions, read_shape(context))}
    return {}


def _choose_index(decisions: Decisions, context: ToolContext) -> str:
    """The configured index; where there is none of that name, one of those that were built."""
    from rag.index.version import index_names
    from rag.settings import index_home, rag_settings

    configured = rag_settings(context.settings).index
    names = index_names(index_home(context.settings))
    if configured in names or not names:
        return configured
    ranked = Shortlist({name: (name,) for name in names}).rank(decisions.question)
    return decisions.decide("index", ranked, {name: f"documents about {name}" for name in names})


def _newest_alert(context: ToolContext) -> str:
    """Its id: named now, so that what a person approves is what is trained, whatever is raised meanwhile."""
    from classic_ml.monitoring import find_alert

    return find_alert(context.engine).id
