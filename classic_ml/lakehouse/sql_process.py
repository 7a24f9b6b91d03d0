"""Runs one query in a process of its own, which `sql.py` starts as a script: it imports nothing of this package.

DuckDB keeps its limits between values only. Inside of one value (`replace` nested nine times makes a string of gigabytes)
it looks at none, and its planner at none of time. The kernel holds both, and what it ends is this process alone.
"""

import pickle
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import duckdb
import pyarrow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

REFUSED, OUT_OF_MEMORY = 3, 4
"""Exit codes. With the first, standard output says what was wrong and, on a second line, what to do if it is known."""
MOST_BYTES = 4 << 20
"""Of a result; it goes through JSON, and is kept."""


def main() -> None:
    """Read the query, its tables and its limits from standard input, write the result to standard output as Arrow."""
    query, tables, rows, seconds, memory_mib = pickle.load(sys.stdin.buffer)  # noqa: S301, our parent wrote it
    try:
        with duckdb.connect(":memory:", config=configuration(memory_mib)) as connection:
            _show(connection, tables)
            _bound_memory(2 * memory_mib << 20)  # what one value takes comes on top of what DuckDB counts
            # Nobody handles the alarm, so it ends the process, whatever that is busy with.
            signal.setitimer(signal.ITIMER_REAL, seconds)
            result = _first_rows(connection.sql(query), rows)
    except (duckdb.OutOfMemoryException, MemoryError):
        sys.exit(OUT_OF_MEMORY)
    except duckdb.BinderException as error:  # as a rule a column that no table has
        has = [f"gold.{name} has {', '.join(content.column_names)}." for name, content in tables.items()]
        _refuse(f"The query failed: {reason(error)}.", fix=" ".join(has))
    except (duckdb.Error, pyarrow.ArrowException) as error:
        _refuse(f"The query failed: {reason(error)}.")
    with pyarrow.ipc.new_stream(sys.stdout.buffer, result.schema) as stream:
        stream.write_table(result)


def configuration(memory_mib: int) -> dict[str, str | bool | int | float | list[str]]:
    """DuckDB in memory, without files, network or extensions."""
    return {
        "enable_external_access": False,
        "memory_limit": f"{memory_mib}MiB",
        "temp_directory": "",
        "threads": 1,
    }


def reason(error: Exception) -> str:
    """The first line of what a library says, without the name of its error's class."""
    first = str(error).partition("\n")[0]
    return first.partition(" Error: ")[2].rstrip(".!") or first.rstrip(".!")


def _show(connection: "DuckDBPyConnection", tables: dict[str, "pyarrow.Table"]) -> None:
    connection.execute("SET python_enable_replacements = false")
    connection.execute("CREATE SCHEMA gold")
    for number, (name, rows) in enumerate(tables.items()):
        connection.register(f"rows_{number}", rows)
        connection.execute(f'CREATE VIEW gold."{name}" AS SELECT * FROM rows_{number}')  # noqa: S608, an identifier
    connection.execute("SET search_path = 'gold'")
    connection.execute("SET lock_configuration = true")


def _first_rows(relation: "DuckDBPyRelation", most: int) -> "pyarrow.Table":
    if len(set(relation.columns)) < len(relation.columns):
        _refuse("Two columns of the result have one name.", fix="Name them with AS.")
    batches, height, size = list[pyarrow.RecordBatch](), 0, 0
    reader = relation.to_arrow_reader(most + 1)
    for batch in reader:
        batches.append(batch)
        height, size = height + batch.num_rows, size + batch.nbytes
        if height > most:
            _refuse(f"The query gives more than {most:,} rows.", fix="Aggregate, or add a LIMIT.")
        if size > MOST_BYTES:
            _refuse(f"The query gives more than {MOST_BYTES >> 20} MiB.", fix="Ask for less.")
    return pyarrow.Table.from_batches(batches, reader.schema)


def _bound_memory(more: int) -> None:
    """Let this process take so many bytes more than it has. Linux only; elsewhere only DuckDB's own limit holds."""
    if sys.platform != "linux":
        return
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = size + more if hard == resource.RLIM_INFINITY else min(size + more, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _refuse(why: str, fix: str = "") -> NoReturn:
    sys.stdout.write(f"{why}\n{fix}")
    sys.exit(REFUSED)


if __name__ == "__main__":
    main()
