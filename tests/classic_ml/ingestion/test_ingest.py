import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from classic_ml.churn import CHURN
from classic_ml.ingestion import Ingested, ingest
from classic_ml.lakehouse import Lakehouse
from classic_ml.quality.gate import REPEATED
from sluice import lineage
from sluice.errors import Conflict, InvalidRequest
from sluice.home import Home
from tests.classic_ml.conftest import FEBRUARY, JANUARY, MARCH, customer

Write = Callable[..., Path]
Load = Callable[..., Ingested]
LAYERS = ("bronze", "quarantine", "silver", "gold")


def counts(lakehouse: Lakehouse) -> dict[str, int]:
    return {table.layer: table.open().count() for table in lakehouse.tables(["churn"])}


def mixed(write: Write) -> Path:
    good = [customer(number) for number in range(10)]
    return write("mixed.csv", [*good, customer(3, tenure="11"), customer(77, Churn="maybe", tenure="-1")])


def test_a_file_goes_through_all_layers(write: Write, load: Load, lakehouse: Lakehouse, home: Home) -> None:
    path = mixed(write)
    loaded = load(path, JANUARY)
    assert (loaded.rows, loaded.accepted, loaded.quarantined, loaded.already_there) == (12, 10, 2, False)
    assert counts(lakehouse) == {"bronze": 12, "quarantine": 2, "silver": 10, "gold": 10}
    assert (home.root / "ml" / "files" / loaded.file.removeprefix("file:")).read_bytes() == path.read_bytes()
    bad = {row["row"]: row["reasons"] for row in lakehouse.read("quarantine", "churn").iter_rows(named=True)}
    assert bad == {4: [REPEATED], 12: ["Churn is none of: Yes, No", "tenure is not between 0 and 600"]}
    assert lakehouse.sql("SELECT tenure FROM churn WHERE customer_id = '0003-TESTS'")["tenure"].to_list() == [11]


def test_gold_has_no_gaps_where_nothing_was_billed_yet(write: Write, load: Load, lakehouse: Lakehouse) -> None:
    load(write("a.csv", [customer(1, tenure="0", TotalCharges=" "), customer(2, TotalCharges="")]), JANUARY)
    totals = lakehouse.read("silver", "churn")["total_charges"].to_list()
    assert totals == [None, None]
    assert dict(lakehouse.read("gold", "churn").select("customer_id", "total_charges").iter_rows()) == {
        "0001-TESTS": 0.0,
        "0002-TESTS": 300.0,
    }


def test_the_same_file_again_changes_nothing(write: Write, load: Load, lakehouse: Lakehouse) -> None:
    path = mixed(write)
    first = load(path, JANUARY)
    versions = [lakehouse.version(layer, "churn") for layer in LAYERS]
    again = load(path.rename(path.with_name("renamed.csv")), JANUARY)
    assert again.already_there
    assert again.tables == first.tables
    assert [lakehouse.version(layer, "churn") for layer in LAYERS] == versions


def test_the_same_file_as_of_another_day_is_refused(write: Write, load: Load, lakehouse: Lakehouse) -> None:
    path = mixed(write)
    load(path, JANUARY)
    with pytest.raises(Conflict, match="as of 2026-01-31"):
        load(path, FEBRUARY)
    assert counts(lakehouse)["gold"] == 10


def test_other_files_of_the_day_correct_and_another_day_adds(write: Write, load: Load, lakehouse: Lakehouse) -> None:
    load(write("a.csv", [customer(1), customer(2)]), JANUARY)
    load(write("b.csv", [customer(2, tenure="12"), customer(3)]), JANUARY)
    assert sorted(lakehouse.read("gold", "churn")["tenure"]) == [10, 10, 12]
    load(write("c.csv", [customer(1, tenure="11")]), FEBRUARY)
    assert sorted(lakehouse.read("gold", "churn")["tenure"]) == [10, 10, 11, 12]


def test_a_late_correction_stands_beside_what_was_known(write: Write, load: Load, lakehouse: Lakehouse) -> None:
    load(write("a.csv", [customer(1)]), JANUARY)
    load(write("b.csv", [customer(1, tenure="12")]), JANUARY, known_at=MARCH)
    kept = lakehouse.read("gold", "churn").sort("known_at")
    assert kept.select("as_of", "known_at", "tenure").rows() == [(JANUARY, JANUARY, 10), (JANUARY, MARCH, 12)]


def test_too_many_bad_rows_refuse_the_load(write: Write, load: Load, lakehouse: Lakehouse) -> None:
    path = write("bad.csv", [customer(1), customer(2), customer(3, Churn="?"), customer(3, tenure="x")])
    with pytest.raises(
        InvalidRequest, match=r"2 of 4 rows of bad\.csv break expectations, more than 20%: Churn is none"
    ):
        load(path, JANUARY)
    assert counts(lakehouse) == {"bronze": 4, "quarantine": 2}
    assert load(path, JANUARY, rejected_share=0.5).accepted == 2
    assert counts(lakehouse) == {"bronze": 4, "quarantine": 2, "silver": 2, "gold": 2}


def test_a_line_of_another_length_is_quarantined(write: Write, load: Load, lakehouse: Lakehouse) -> None:
    path = write("a.csv", [customer(number) for number in range(9)])
    with path.open("a") as file:
        file.write(path.read_text().splitlines()[-1].replace("0008", "0009") + ",and more\n")
    assert load(path, JANUARY).accepted == 9
    assert lakehouse.read("quarantine", "churn")["reasons"].to_list() == [["has not as many cells as the header"]]


def test_a_line_cut_elsewhere_has_that_one_fault(write: Write, load: Load, lakehouse: Lakehouse) -> None:
    path = write("a.csv", [customer(number) for number in range(9)])
    with path.open("a") as file:
        file.write("0009-TESTS,Female,0\n")
    assert load(path, JANUARY).reasons == {"has not as many cells as the header": 1}


def test_repeated_rows_alone_do_not_refuse_it(write: Write, load: Load) -> None:
    assert load(write("twice.csv", [customer(1), customer(2)] * 2), JANUARY).accepted == 2


def test_a_file_with_other_columns_leaves_nothing(write: Write, load: Load, lakehouse: Lakehouse, home: Home) -> None:
    row = customer(1)
    row["Tenure (months)"] = row.pop("tenure")
    with pytest.raises(InvalidRequest, match="lacks the column 'tenure' and has the unknown column"):
        load(write("a.csv", [row], row), JANUARY)
    assert counts(lakehouse) == {}
    assert not home.root.exists()


@pytest.mark.parametrize("known_at", [JANUARY.replace(tzinfo=None), JANUARY.replace(year=2025)])
def test_times_must_make_sense(write: Write, load: Load, known_at: object) -> None:
    with pytest.raises(InvalidRequest, match="times"):
        load(write("a.csv", [customer(1)]), JANUARY, known_at=known_at)


def test_what_lies_in_the_future_is_refused(write: Write, load: Load, lakehouse: Lakehouse) -> None:
    path = write("a.csv", [customer(1)])
    for at, known_at in ((FEBRUARY, None), (JANUARY, FEBRUARY)):
        with pytest.raises(InvalidRequest, match=r"^2026-02-28 lies in the future\. Name a time that has come"):
            load(path, at, known_at=known_at, now=JANUARY)
    assert counts(lakehouse) == {}
    assert load(path, JANUARY, now=JANUARY).accepted == 1


def test_the_trace_ends_at_every_file(write: Write, load: Load, engine: Engine) -> None:
    first = load(write("a.csv", [customer(1)]), JANUARY)
    second = load(write("b.csv", [customer(2)]), FEBRUARY)
    gold = lineage.trace(engine, second.tables[-1])
    [(role, silver)] = gold.sources
    assert (gold.id, role, silver.id) == ("table:gold.churn@2", "silver", "table:silver.churn@2")
    bronze = [node for _, node in silver.sources]
    assert [node.id for node in bronze] == ["table:bronze.churn@1", "table:bronze.churn@2"]
    files = [node for table in bronze for _, node in table.sources]
    assert [node.id for node in files] == [first.file, second.file]
    assert files[0].attributes["name"] == "a.csv"


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from classic_ml.churn import CHURN
from classic_ml.ingestion import ingest
from classic_ml.lakehouse import Lakehouse
from classic_ml.lakehouse.table import Table
from sluice.database import connect
from sluice.home import Home

commit, left = Table.commit, int(sys.argv[4])
def commit_and_die(*arguments):
    global left
    done = commit(*arguments)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
Table.commit = commit_and_die
home = Home(Path(sys.argv[2]))
ingest(Path(sys.argv[1]), CHURN, datetime.fromisoformat("2026-01-31T00:00:00+00:00"),
       lakehouse=Lakehouse(home.root / "lakehouse"), engine=connect(sys.argv[3]), home=home)
"""


@pytest.mark.parametrize("commits", [1, 3, 4])
def test_a_load_that_was_killed_goes_on(
    commits: int, write: Write, lakehouse: Lakehouse, home: Home, engine: Engine, database_url: str
) -> None:
    path = mixed(write)
    command = [sys.executable, "-c", KILLED, str(path), str(home.root), database_url, str(commits)]
    assert subprocess.run(command, check=False).returncode == -9
    again = ingest(path, CHURN, JANUARY, lakehouse=lakehouse, engine=engine, home=home)
    assert counts(lakehouse) == {"bronze": 12, "quarantine": 2, "silver": 10, "gold": 10}
    assert again.tables == tuple(f"table:{layer}.churn@1" for layer in LAYERS)
    assert lineage.trace(engine, "table:gold.churn@1").sources


def test_a_load_that_goes_on_does_not_undo_a_correction(
    write: Write, load: Load, lakehouse: Lakehouse, home: Home, database_url: str
) -> None:
    path = mixed(write)
    silver = "3"  # the commits of bronze, quarantine and silver were made
    command = [sys.executable, "-c", KILLED, str(path), str(home.root), database_url, silver]
    assert subprocess.run(command, check=False).returncode == -9
    load(write("correction.csv", [customer(1, tenure="12")]), JANUARY)
    load(path, JANUARY)
    tables = [lakehouse.read(layer, "churn").sort("customer_id")["tenure"].to_list() for layer in ("silver", "gold")]
    assert tables[0] == tables[1]
    assert tables[1][1] == 12
