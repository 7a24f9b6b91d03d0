from pathlib import Path

import duckdb
import polars as pl
import pytest

from classic_ml.lakehouse.sql import HINT, query_gold, tables_of
from classic_ml.lakehouse.sql_process import configuration
from classic_ml.settings import SqlSettings
from sluice.errors import InvalidRequest, ProcessFailed

CHURN = pl.DataFrame({"id": ["a", "b", "c"], "months": [1, 2, 3]})
MANY = pl.DataFrame({"id": ["x" * 10] * 20})


def query(text: str, **limits: float) -> pl.DataFrame:
    return query_gold(text, {"churn": CHURN, "many": MANY}.get, SqlSettings.model_validate(limits))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT sum(months) AS n FROM churn",
        "select sum(months) n from gold.CHURN; -- all of them",
        "WITH x AS (SELECT months FROM churn) SELECT sum(months) AS n FROM x",
        "SELECT 1 + 2 + 3 AS n",
        "(SELECT count(*) + 3 AS n FROM churn)",
    ],
)
def test_one_select_is_answered(text: str) -> None:
    assert query(text).to_dict(as_series=False) == {"n": [6]}


def test_an_empty_result_keeps_its_columns() -> None:
    assert query("SELECT id FROM churn WHERE months > 9").columns == ["id"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not one SELECT"),
        ("SELECT 1; SELECT 2", "not one SELECT"),
        ("INSERT INTO churn VALUES ('d', 4)", "not one SELECT"),
        ("DROP VIEW churn", "not one SELECT"),
        ("COPY churn TO '/tmp/stolen.csv'", "not one SELECT"),
        ("ATTACH '/tmp/other.db' AS other", "not one SELECT"),
        ("PRAGMA database_list", "not one SELECT"),
        ("SET memory_limit = '100GB'", "not one SELECT"),
        ("INSTALL httpfs", "not one SELECT"),
        ("EXPLAIN SELECT 1", "not one SELECT"),
        ("WITH gone AS (DELETE FROM churn RETURNING *) SELECT * FROM gone", "failed"),
        ("SELECT FROM WHERE", "no valid SQL"),
        ("SELECT * FROM read_csv('/etc/passwd')", "READ_CSV"),
        ("SELECT * FROM read_text('/etc/passwd')", "READ_TEXT"),
        ("SELECT * FROM glob('/*')", "GLOB"),
        ("SELECT * FROM '/etc/passwd'", "no gold table '/etc/passwd'"),
        ("SELECT * FROM information_schema.tables", "no gold table"),
        ("SELECT * FROM duckdb_settings()", "no gold table"),
        ("SELECT (SELECT max(x) FROM silver.churn)", "silver.churn"),
        ("SELECT * FROM CHURN_OF_OTHERS", "no gold table 'churn_of_others'"),
        ("SELECT age FROM churn", '"age" not found'),
        ("SELECT * FROM " + "(SELECT * FROM " * 500 + "churn" + ")" * 500, "nested too deeply"),
        ("SELECT DATE 'infinity'", "CAST them to VARCHAR"),
        ("SELECT INTERVAL 1 DAY", "CAST them to VARCHAR"),
        (
            "SELECT string_agg(a.id || b.id || c.id || d.id) FROM " + ", ".join(f"many {x}" for x in "abcd"),
            "gives more than 4 MiB",
        ),
        ("SELECT a.id, b.id FROM churn a, churn b", "one name"),
    ],
)
def test_anything_else_is_refused_and_says_why(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why.replace("(", r"\(")):
        query(text)


def test_a_refusal_comes_with_its_own_fix() -> None:
    with pytest.raises(InvalidRequest) as caught:
        query("SELECT 1 AS one FROM churn", rows=2)
    assert str(caught.value) == "The query gives more than 2 rows. Aggregate, or add a LIMIT."
    with pytest.raises(InvalidRequest) as caught:
        query("SELECT age FROM churn")
    assert caught.value.fix == "gold.churn has id, months."
    with pytest.raises(InvalidRequest) as caught:
        query("SELECT count(*) FROM silver.churn")
    assert caught.value.fix == HINT


def test_a_process_that_failed_says_so_in_one_line() -> None:
    wrong = SqlSettings.model_construct(rows="many", seconds=10, memory_mib=256)
    with pytest.raises(ProcessFailed, match=r"^The query's process failed: TypeError: .*$"):
        query_gold("SELECT id FROM churn", {"churn": CHURN}.get, wrong)


def test_duckdb_itself_reaches_no_file(tmp_path: Path) -> None:
    """The second wall, where the first is passed."""
    (tmp_path / "secret.csv").write_text("a\n1\n")
    connection = duckdb.connect(":memory:", config=configuration(SqlSettings().memory_mib))
    with connection, pytest.raises(duckdb.PermissionException):
        connection.execute(f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')")


def test_limits_of_rows_time_and_memory_hold() -> None:
    many = ", ".join(f"churn c{number}" for number in range(40))
    with pytest.raises(InvalidRequest, match="more than 4 rows"):
        query("SELECT 1 AS one FROM churn a, churn b", rows=4)
    assert query("SELECT 1 AS one FROM churn a, churn b LIMIT 4", rows=4).height == 4
    endless = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t) SELECT count(*) AS n FROM t"
    with pytest.raises(InvalidRequest, match=r"more than 0\.3 s"):  # it takes time alone, and never ends by itself
        query(endless, seconds=0.3)
    with pytest.raises(InvalidRequest, match="more than 20 MiB"):
        query(f"SELECT DISTINCT c0.id || random() AS x FROM {many} ORDER BY 1", memory_mib=20, seconds=3_600)


def test_within_one_value_the_limits_hold_too() -> None:
    """DuckDB itself would take gigabytes, or half a minute."""
    digits = "replace(" * 9 + "'aaaaaaaaaa'" + ", 'a', 'aaaaaaaaaa')" * 9
    for text in (f"SELECT length({digits})", "SELECT length(repeat('x', 2000000000))", "SELECT len(range(1000000000))"):
        with pytest.raises(InvalidRequest, match="took more than 64 MiB"):
            query(text, memory_mib=64, seconds=3_600)
    with pytest.raises(InvalidRequest, match="took more than 1 s"):
        query("SELECT count(*) FROM " + ", ".join(f"churn c{number}" for number in range(700)), seconds=1)


def test_the_tables_of_a_query_are_gold_tables() -> None:
    assert tables_of("WITH x AS (SELECT * FROM Churn) SELECT * FROM x, gold.other") == ["churn", "other"]
