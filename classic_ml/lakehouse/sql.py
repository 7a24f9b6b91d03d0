"""Read-only SQL on gold tables.

Three walls: the query must be one SELECT, to DuckDB's parser and to sqlglot's, whose tables are gold tables; DuckDB works
in memory, without files, network or extensions, and with its configuration locked; time, rows and memory are bounded.
"""

import threading
from collections.abc import Callable

import duckdb
import polars as pl
import polars.selectors as cs
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from classic_ml.settings import SqlSettings
from sluice.errors import InvalidRequest

HINT = "Send one SELECT on gold tables, such as: SELECT count(*) FROM churn"

GROWING = {"repeat", "lpad", "rpad", "range", "generate_series", "list_resize", "array_resize", "printf", "format"}
"""Functions that make one huge value of a short call: within one value DuckDB looks at no limit."""


def query_gold(query: str, gold: Callable[[str], pl.DataFrame | None], limits: SqlSettings) -> pl.DataFrame:
    """Run one SELECT.

    Args:
        query: DuckDB's SQL; tables as `churn` or `gold.churn`.
        gold: the rows of a gold table, None where there is no such table.

    Raises:
        InvalidRequest: it is no single SELECT on gold tables, is wrong, or takes more than `limits`.
    """
    with duckdb.connect(":memory:", config=_configuration(limits)) as connection:
        names = _tables_of(_one_select(connection, query))
        connection.execute("SET python_enable_replacements = false")
        connection.execute("CREATE SCHEMA gold")
        for number, name in enumerate(sorted(names)):
            rows = gold(name) if name.isidentifier() else None
            if rows is None:
                raise InvalidRequest(f"There is no gold table '{name}'.", fix="See: sluice ml tables")
            connection.register(f"rows_{number}", rows.to_arrow())
            connection.execute(f'CREATE VIEW gold."{name}" AS SELECT * FROM rows_{number}')  # noqa: S608, an identifier
        connection.execute("SET search_path = 'gold'")
        connection.execute("SET lock_configuration = true")
        return _run(connection, query, limits)


def _configuration(limits: SqlSettings) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "enable_external_access": False,
        "memory_limit": f"{limits.memory_mib}MiB",
        "temp_directory": "",
        "threads": 1,
    }


def _one_select(connection: duckdb.DuckDBPyConnection, query: str) -> exp.Query:
    try:
        if [statement.type for statement in connection.extract_statements(query)] != [duckdb.StatementType.SELECT]:
            raise InvalidRequest("The query is not one SELECT.", fix=HINT)
        parsed = [part for part in sqlglot.parse(query, read="duckdb") if isinstance(part, exp.Query)]
    except (duckdb.Error, SqlglotError) as error:
        raise InvalidRequest(f"The query is no valid SQL: {_reason(error)}.", fix=HINT) from None
    if len(parsed) != 1:
        raise InvalidRequest("The query is not one SELECT.", fix=HINT)
    return parsed[0]


def _tables_of(select: exp.Query) -> set[str]:
    for function in select.find_all(exp.Func):
        name = (function.name if isinstance(function, exp.Anonymous) else function.sql_name()).lower()
        if name in GROWING:
            raise InvalidRequest(f"The query calls {name}, which is not allowed.", fix=HINT)
    own = {table.alias.lower() for table in select.find_all(exp.CTE)}
    names: set[str] = set()
    for table in select.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or table.catalog or table.db.lower() not in ("", "gold"):
            raise InvalidRequest(f"The query reads {table.sql('duckdb')[:100]}, which is no gold table.", fix=HINT)
        if table.db or table.name.lower() not in own:
            names.add(table.name.lower())
    return names


def _run(connection: duckdb.DuckDBPyConnection, query: str, limits: SqlSettings) -> pl.DataFrame:
    timer = threading.Timer(limits.seconds, connection.interrupt)
    timer.start()
    try:
        rows = _first_rows(connection.sql(query), limits.rows + 1)
    except duckdb.InterruptException:
        raise InvalidRequest(f"The query took more than {limits.seconds:g} s.", fix="Ask for less.") from None
    except duckdb.OutOfMemoryException:
        raise InvalidRequest(f"The query took more than {limits.memory_mib} MiB.", fix="Ask for less.") from None
    except duckdb.Error as error:
        raise InvalidRequest(f"The query failed: {_reason(error)}.", fix=HINT) from None
    finally:
        timer.cancel()
    if rows.height > limits.rows:
        raise InvalidRequest(f"The query gives more than {limits.rows:,} rows.", fix="Aggregate, or add a LIMIT.")
    return rows


def _first_rows(relation: duckdb.DuckDBPyRelation, count: int) -> pl.DataFrame:
    if len(set(relation.columns)) < len(relation.columns):
        raise InvalidRequest("Two columns of the result have one name.", fix="Name them with AS.")
    reader = relation.to_arrow_reader(count)
    rows = pl.DataFrame(reader.schema.empty_table())
    for batch in reader:
        rows = pl.concat([rows, pl.DataFrame(batch)])
        if rows.height >= count:
            break
    # DuckDB's sums of integers come as decimals, which JSON does not know.
    return rows.with_columns(cs.decimal().cast(pl.Float64))


def _reason(error: Exception) -> str:
    """The first line of what a library says, without the name of its error's class."""
    first = str(error).partition("\n")[0]
    return first.partition(" Error: ")[2].rstrip(".!") or first.rstrip(".!")
