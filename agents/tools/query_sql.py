"""Ask the gold tables, by one read-only SELECT."""

import math
from typing import Annotated

from pydantic import Field

from agents.tools.tool import Arguments, Result, Tool, ToolContext
from sluice.errors import InvalidRequest

MOST_ROWS = 50


class SqlArguments(Arguments):
    """What to ask."""

    query: Annotated[
        str, Field(min_length=1, max_length=10_000, description="One SELECT on gold tables, DuckDB's SQL.")
    ]


def tool(context: ToolContext) -> Tool:
    """The tool, for the caller of `context`."""

    def run(arguments: SqlArguments) -> Result:
        from classic_ml.lakehouse import Lakehouse, table_id
        from classic_ml.lakehouse.sql import tables_of

        lakehouse = Lakehouse.of(context.settings)
        rows = lakehouse.sql(arguments.query)
        if rows.height > MOST_ROWS:
            raise InvalidRequest(f"The query gives more than {MOST_ROWS} rows.", fix="Aggregate, or add a LIMIT.")
        return {
            "query": arguments.query,
            "columns": rows.columns,
            "rows": [[_as_json(cell) for cell in row] for row in rows.rows()],
            "sources": [table_id("gold", name, lakehouse.version("gold", name)) for name in tables_of(arguments.query)],
        }

    return Tool(
        "query_sql",
        "Count, average, compare or list customers in the tables, by one read-only SQL SELECT on gold tables.",
        SqlArguments,
        run,
    )


def _as_json(cell: object) -> object:
    """JSON knows neither NaN nor infinity, and what divides by zero gives them."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    return cell if isinstance(cell, bool | int | float | str | None) else str(cell)
