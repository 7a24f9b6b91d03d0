"""Ask the gold tables, by one read-only SELECT."""

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

        lakehouse = Lakehouse.of(context.settings)
        rows = lakehouse.sql(arguments.query)
        if rows.height > MOST_ROWS:
            raise InvalidRequest(f"The query gives more than {MOST_ROWS} rows.", fix="Aggregate, or add a LIMIT.")
        return {
            "query": arguments.query,
            "columns": rows.columns,
            "rows": [[_as_json(cell) for cell in row] for row in rows.rows()],
            "sources": [
                table_id("gold", name, lakehouse.version("gold", name))
                for name in _tables_of(arguments.query)
                if lakehouse.table("gold", name).exists()
            ],
        }

    return Tool(
        "query_sql",
        "Count, average, compare or list customers in the tables, by one read-only SQL SELECT on gold tables.",
        SqlArguments,
        run,
    )


def _tables_of(query: str) -> list[str]:
    """The names of all tables in a query that was valid."""
    import sqlglot
    from sqlglot import exp

    return sorted({table.name for table in sqlglot.parse_one(query, read="duckdb").find_all(exp.Table)})


def _as_json(cell: object) -> object:
    return cell if isinstance(cell, bool | int | float | str | None) else str(cell)
