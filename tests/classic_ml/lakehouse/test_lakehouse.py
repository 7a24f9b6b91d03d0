import json
import threading
from pathlib import Path

import polars as pl
import pytest

from classic_ml.lakehouse import Lakehouse, table_id
from sluice.errors import NotFound
from tests.classic_ml.conftest import FEBRUARY, JANUARY

KEY = ("who", "as_of")


def rows(*pairs: tuple[str, int], at: object = JANUARY) -> pl.DataFrame:
    return pl.DataFrame(
        [{"who": who, "as_of": at, "value": value} for who, value in pairs],
        schema_overrides={"as_of": pl.Datetime("us", "UTC")},
    )


def merge(lakehouse: Lakehouse, frame: pl.DataFrame, source: str) -> int:
    return lakehouse.merge("silver", "t", frame, key=KEY, source=source, made_from=[f"of-{source}"]).version


def test_a_version_stays_readable_after_the_next(lakehouse: Lakehouse) -> None:
    first = merge(lakehouse, rows(("ada", 1), ("bob", 2)), "a")
    second = merge(lakehouse, rows(("bob", 3), ("eve", 4)), "b")
    assert lakehouse.version("silver", "t") == second
    assert sorted(lakehouse.read("silver", "t", first).select("who", "value").rows()) == [("ada", 1), ("bob", 2)]
    assert sorted(lakehouse.read("silver", "t")["value"]) == [1, 3, 4]


def test_rows_of_another_time_replace_nothing(lakehouse: Lakehouse) -> None:
    merge(lakehouse, rows(("ada", 1)), "a")
    merge(lakehouse, rows(("ada", 2), at=FEBRUARY), "b")
    assert sorted(lakehouse.read("silver", "t")["value"]) == [1, 2]


def test_a_source_is_committed_once(lakehouse: Lakehouse) -> None:
    first = lakehouse.append("bronze", "t", rows(("ada", 1)), source="a", made_from=["file:1", "file:2"])
    lakehouse.append("bronze", "t", rows(("bob", 1)), source="b", made_from=[])
    again = lakehouse.append("bronze", "t", rows(("ada", 1)), source="a", made_from=["file:1", "file:2"])
    assert again == first
    assert again.made_from == ("file:1", "file:2")
    assert again.id == table_id("bronze", "t", first.version) == f"table:bronze.t@{first.version}"
    assert lakehouse.read("bronze", "t").height == 2


def test_what_a_version_was_made_from_leaves_out_later_commits(lakehouse: Lakehouse) -> None:
    versions = [merge(lakehouse, rows(("ada", 1)), source) for source in "abc"]
    assert lakehouse.table("silver", "t").made_from_until(versions[1]) == ("of-a", "of-b")


def test_many_at_once_commit_each_source_once(lakehouse: Lakehouse) -> None:
    threads = [
        threading.Thread(target=lambda source=source: merge(lakehouse, rows((source, 1)), source))
        for source in ("a", "b", "a", "b", "a")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lakehouse.read("silver", "t")["who"]) == ["a", "b"]


def test_the_log_holds_no_value_but_times(lakehouse: Lakehouse) -> None:
    merge(lakehouse, rows(("ada@example.org", 4711)), "a")
    merge(lakehouse, rows(("ada@example.org", 4712)), "b")
    log = "".join(path.read_text() for path in Path(lakehouse.root).glob("silver/t/_delta_log/*.json"))
    statistics = [json.loads(line)["add"]["stats"] for line in log.splitlines() if line.startswith('{"add"')]
    assert len(statistics) == 2
    assert all("as_of" in stats for stats in statistics)
    assert "ada@example.org" not in log
    assert "4711" not in log


def test_what_is_not_there_is_named(lakehouse: Lakehouse) -> None:
    with pytest.raises(NotFound, match=r"gold\.t"):
        lakehouse.read("gold", "t")
    merge(lakehouse, rows(("ada", 1)), "a")
    with pytest.raises(NotFound, match=r"table:silver\.t@99"):
        lakehouse.read("silver", "t", 99)
    assert [(table.layer, table.name) for table in lakehouse.tables(["t"])] == [("silver", "t")]
