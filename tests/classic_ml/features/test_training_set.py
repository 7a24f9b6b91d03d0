import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine

from classic_ml.churn import CHURN, CHURNED, CUSTOMER
from classic_ml.features import TrainingSet, build_training_set, load_training_set
from classic_ml.ingestion import Ingested, ingest
from classic_ml.lakehouse import Lakehouse
from sluice import lineage
from sluice.errors import Conflict, InvalidRequest, NotFound
from sluice.home import Home
from tests.classic_ml.conftest import FEBRUARY, JANUARY, MARCH, customer

Write = Callable[..., Path]
Load = Callable[..., Ingested]
Build = Callable[..., TrainingSet]


@pytest.fixture
def build(lakehouse: Lakehouse, engine: Engine, home: Home) -> Build:
    return lambda **times: build_training_set(lakehouse, [CUSTOMER], CHURNED, engine, home, **times)


def test_columns_rows_and_manifest(write: Write, load: Load, build: Build, home: Home) -> None:
    load(write("a.csv", [customer(2, Churn="Yes"), customer(1)]), JANUARY)
    made = build()
    rows = made.read()
    assert rows.columns == ["customer_id", "at", *made.features, "churned"]
    assert rows.select("customer_id", "at", "churned").rows() == [
        ("0001-TESTS", JANUARY, 0),
        ("0002-TESTS", JANUARY, 1),
    ]
    assert made.path == home.root / "ml" / "training_sets" / f"{made.id}.parquet"
    manifest = json.loads(made.path.with_suffix(".json").read_text())
    assert (manifest["rows"], manifest["positive"], manifest["left_out"]) == (2, 1, 0)
    assert load_training_set(home, made.id) == made


def test_the_same_rows_make_the_same_set_however_they_came(
    write: Write, load: Load, build: Build, engine: Engine, tmp_path: Path
) -> None:
    people = [customer(number, tenure=str(number)) for number in range(1, 9)]
    load(write("a.csv", people), JANUARY)
    made = build()
    other = Lakehouse(tmp_path / "other")
    elsewhere = Home(tmp_path / "elsewhere")
    columns = list(reversed(people[0]))
    for name, part in (("x.csv", people[5:]), ("y.csv", people[:5][::-1])):
        ingest(write(name, part, columns), CHURN, JANUARY, lakehouse=other, engine=engine, home=elsewhere)
    assert build_training_set(other, [CUSTOMER], CHURNED, engine, elsewhere).id == made.id


def test_a_late_correction_changes_labels_but_no_feature_of_the_past(write: Write, load: Load, build: Build) -> None:
    load(write("a.csv", [customer(1)]), JANUARY)
    load(write("b.csv", [customer(1, tenure="99", Churn="Yes")]), JANUARY, known_at=MARCH)
    assert build().read().select("tenure", "churned").rows() == [(10, 1)]


def test_times_choose_labels(write: Write, load: Load, build: Build) -> None:
    load(write("a.csv", [customer(1)]), JANUARY)
    january = build()
    load(write("b.csv", [customer(1, tenure="11")]), FEBRUARY)
    assert build(until=JANUARY) == january  # what an id names never changes, its gold version included
    assert build(since=FEBRUARY).read()["tenure"].to_list() == [11]
    assert build().read()["tenure"].to_list() == [10, 11]
    with pytest.raises(InvalidRequest, match="No label"):
        build(since=MARCH)


def test_the_trace_leads_from_the_set_to_the_file(write: Write, load: Load, build: Build, engine: Engine) -> None:
    loaded = load(write("a.csv", [customer(1)]), JANUARY)
    node = lineage.trace(engine, f"training_set:{build().id}")
    path = []
    while node.sources:
        [(_, node)] = node.sources
        path.append(node.id)
    assert path == ["table:gold.churn@1", "table:silver.churn@1", "table:bronze.churn@1", loaded.file]


def test_a_changed_file_is_noticed(write: Write, load: Load, build: Build) -> None:
    load(write("a.csv", [customer(1)]), JANUARY)
    made = build()
    made.read().with_columns(pl.lit(1, pl.Int8).alias("churned")).write_parquet(made.path)
    with pytest.raises(Conflict, match="was changed"):
        made.read()


def test_labels_without_features_are_left_out_and_counted(
    write: Write, load: Load, lakehouse: Lakehouse, engine: Engine, home: Home
) -> None:
    load(write("a.csv", [customer(1)]), JANUARY)
    load(write("b.csv", [customer(2)]), JANUARY, known_at=MARCH)
    made = build_training_set(lakehouse, [CUSTOMER], CHURNED, engine, home)
    assert made.read()["customer_id"].to_list() == ["0001-TESTS"]
    assert json.loads(made.path.with_suffix(".json").read_text())["left_out"] == 1


def test_mistakes_are_said(lakehouse: Lakehouse, engine: Engine, home: Home) -> None:
    with pytest.raises(NotFound, match=r"gold\.churn"):
        build_training_set(lakehouse, [CUSTOMER], CHURNED, engine, home)
    with pytest.raises(InvalidRequest, match="View 'customer' is not about"):
        build_training_set(lakehouse, [replace(CUSTOMER, table="other")], CHURNED, engine, home)
    for name in ("0" * 64, "../../etc/passwd"):
        with pytest.raises(NotFound, match="no training set"):
            load_training_set(home, name)
