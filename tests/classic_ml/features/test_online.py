from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from classic_ml.churn import CHURN, CUSTOMER
from classic_ml.features import materialize, online_features
from classic_ml.features.online import OnlineFeature
from classic_ml.ingestion import Ingested, ingest
from classic_ml.lakehouse import Lakehouse
from sluice.errors import InvalidRequest, NotFound
from sluice.home import Home
from tests.classic_ml.conftest import FEBRUARY, JANUARY, MARCH, customer

Write = Callable[..., Path]
Load = Callable[..., Ingested]


def test_the_newest_row_is_served_with_its_time_and_source(
    write: Write, load: Load, lakehouse: Lakehouse, engine: Engine
) -> None:
    load(write("b.csv", [customer(1, tenure="11")]), FEBRUARY)
    load(write("a.csv", [customer(1), customer(2)]), JANUARY)  # late, and older
    assert materialize(engine, lakehouse, CUSTOMER) == 2
    found = online_features(engine, CUSTOMER, "0001-TESTS")
    assert list(found.values) == list(CUSTOMER.features)
    assert (found.values["tenure"], found.at, found.source) == (11, FEBRUARY, "table:gold.churn@2")


def test_again_changes_nothing_and_a_correction_of_the_same_day_does(
    write: Write, load: Load, lakehouse: Lakehouse, engine: Engine
) -> None:
    load(write("a.csv", [customer(1)]), JANUARY)
    assert materialize(engine, lakehouse, CUSTOMER) == 1
    assert materialize(engine, lakehouse, CUSTOMER) == 0
    load(write("b.csv", [customer(1, tenure="12")]), JANUARY, known_at=MARCH)
    assert materialize(engine, lakehouse, CUSTOMER) == 1
    assert online_features(engine, CUSTOMER, "0001-TESTS").values["tenure"] == 12
    with Session(engine) as session:
        assert len(session.exec(select(OnlineFeature)).all()) == 1


def test_what_is_newer_online_stays(
    write: Write, load: Load, lakehouse: Lakehouse, engine: Engine, tmp_path: Path
) -> None:
    load(write("b.csv", [customer(1, tenure="11"), customer(2)]), FEBRUARY)
    materialize(engine, lakehouse, CUSTOMER)
    older = Lakehouse(tmp_path / "older")
    ingest(write("a.csv", [customer(1)]), CHURN, JANUARY, lakehouse=older, engine=engine, home=Home(tmp_path / "h"))
    assert materialize(engine, older, CUSTOMER) == 0
    assert online_features(engine, CUSTOMER, "0001-TESTS").at == FEBRUARY
    assert online_features(engine, CUSTOMER, "0002-TESTS").at == FEBRUARY


@pytest.mark.parametrize(
    ("there", "changed"),
    [("table:gold.churn@10", 0), ("table:gold.churn@2", 0), ("table:gold.churn@1", 1), ("table:gold.customers@10", 1)],
)
def test_of_one_time_the_later_version_of_gold_holds(
    write: Write, load: Load, lakehouse: Lakehouse, engine: Engine, there: str, changed: int
) -> None:
    load(write("a.csv", [customer(1)]), JANUARY)
    load(write("b.csv", [customer(1, tenure="12")]), JANUARY)
    materialize(engine, lakehouse, CUSTOMER)
    with Session(engine) as session:
        row = session.exec(select(OnlineFeature)).one()
        assert row.source == "table:gold.churn@2"
        row.source = there
        session.add(row)
        session.commit()
    assert materialize(engine, lakehouse, CUSTOMER) == changed


def test_a_name_that_no_customer_can_have_is_refused(engine: Engine) -> None:
    """SQLite looks for it, PostgreSQL's texts cannot hold it."""
    with pytest.raises((NotFound, InvalidRequest), match=r"knows no customer_id|holds the character NUL"):
        online_features(engine, CUSTOMER, "a\0b")


def test_an_unknown_customer_is_named(engine: Engine) -> None:
    with pytest.raises(NotFound, match="no customer_id '9999-NOONE'"):
        online_features(engine, CUSTOMER, "9999-NOONE")


def test_what_is_older_than_its_ttl_is_not_served(
    write: Write, load: Load, lakehouse: Lakehouse, engine: Engine
) -> None:
    load(write("a.csv", [customer(1)]), JANUARY)
    monthly = replace(CUSTOMER, ttl=timedelta(days=31))
    materialize(engine, lakehouse, monthly)
    assert online_features(engine, monthly, "0001-TESTS", JANUARY + timedelta(days=31)).at == JANUARY
    with pytest.raises(NotFound, match="out of date"):
        online_features(engine, monthly, "0001-TESTS", JANUARY + timedelta(days=32))
