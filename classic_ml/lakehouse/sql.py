"""Read-only SQL on gold tables.

Three walls: the query must be one SELECT, to DuckDB's parser and to sqlglot's, whose tables are gold tables; DuckDB works
in memory, without files, network or extensions, and with its configuration locked; and it works in a process of its own,
whose time and memory the kernel bounds.
"""

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import polars.selectors as cs
import pyarrow
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from classic_ml.lakehouse import sql_process
from classic_ml.settings import SqlSettings
from sluice.errors import InvalidRequest, ProcessFailed

HINT = "Send one SELECT on gold tables, such as: SELECT count(*) FROM churn"


def query_gold(query: str, gold: Callable[[str], pl.DataFrame | None], limits: SqlSettings) -> pl.DataFrame:
    """Run one SELECT.

    Args:
        query: DuckDB's SQL; tables as `churn` or `gold.churn`.
        gold: the rows of a gold table, None where there is no such table.

    Raises:
        InvalidRequest: it is no single SELECT on gold tables, is wrong, or takes more than `limits`.
        ProcessFailed: the process that runs it failed.
    """
    tables: dict[str, pyarrow.Table] = {}
    for name in tables_of(query):
        rows = gold(name) if name.isidentifier() else None
        if rows is None:
            raise InvalidRequest(f"There is no gold table '{name}'.", fix="See: sluice ml tables")
        tables[name] = rows.to_arrow()
    return _run(query, tables, limits)


def tables_of(query: str) -> list[str]:
    """The names of the gold tables that one SELECT reads.

    Raises:
        InvalidRequest: it is no single SELECT, or reads something else.
    """
    try:
        return sorted(_tables_of(_one_select(query)))
    except (duckdb.Error, SqlglotError) as error:
        raise InvalidRequest(f"The query is no valid SQL: {sql_process.reason(error)}.", fix=HINT) from None
    except RecursionError:
        raise InvalidRequest("The query is nested too deeply.", fix=HINT) from None


def _one_select(query: str) -> exp.Query:
    with duckdb.connect(":memory:", config=sql_process.configuration(64)) as connection:
        types = [statement.type for statement in connection.extract_statements(query)]
    parsed = [part for part in sqlglot.parse(query, read="duckdb") if isinstance(part, exp.Query)]
    if types != [duckdb.StatementType.SELECT] or len(parsed) != 1:
        raise InvalidRequest("The query is not one SELECT.", fix=HINT)
    return parsed[0]


def _tables_of(select: exp.Query) -> set[str]:
    own = {table.alias.lower() for table in select.find_all(exp.CTE)}
    names: set[str] = set()
    for table in select.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or table.catalog or table.db.lower() not in ("", "gold"):
            raise InvalidRequest(f"The query reads {table.sql('duckdb')[:100]}, which is no gold table.", fix=HINT)
        if table.db or table.name.lower() not in own:
            names.add(table.name.lower())
    return names


def _run(query: str, tables: dict[str, pyarrow.Table], limits: SqlSettings) -> pl.DataFrame:
    asked = pickle.dumps((query, tables, limits.rows, limits.seconds, limits.memory_mib))
    # -P: the script's folder must not come before the libraries that it imports.
    command = [sys.executable, "-P", str(Path(sql_process.__file__))]
    done = subprocess.run(command, input=asked, capture_output=True, check=False)  # noqa: S603, our own script
    match done.returncode:
        case 0:
            return _as_frame(done.stdout)
        case sql_process.REFUSED:
            message, _, fix = done.stdout.decode().partition("\n")
            raise InvalidRequest(message, fix=fix or HINT)
        case code if code == -signal.SIGALRM:
            raise InvalidRequest(f"The query took more than {limits.seconds:g} s.", fix="Ask for less.")
        case code if code < 0 or code == sql_process.OUT_OF_MEMORY:  # DuckDB does not outlive every failed allocation
            raise InvalidRequest(f"The query took more than {limits.memory_mib} MiB.", fix="Ask for less.")
        case _:
            last = done.stderr.decode().strip().rpartition("\n")[2]
            raise ProcessFailed(f"The query's process failed: {last[:300]}")


def _as_frame(content: bytes) -> pl.DataFrame:
    try:
        rows = pl.DataFrame(pyarrow.ipc.open_stream(content).read_all())
        rows.rows()  # dates may be later than Python knows
    except (pyarrow.ArrowException, pl.exceptions.ComputeError, pl.exceptions.PanicException):
        raise InvalidRequest("The result has values that cannot be shown.", fix="CAST them to VARCHAR.") from None
    # DuckDB's sums of integers come as decimals, which JSON does not know.
    return rows.with_columns(cs.decimal().cast(pl.Float64))
