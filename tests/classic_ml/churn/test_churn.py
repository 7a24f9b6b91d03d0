"""IBM's sample from its file to rows that a model learns from."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine

from classic_ml.churn import CHURN, CHURNED, CUSTOMER
from classic_ml.churn.samples import SAMPLE, plant_faults, shifted_month
from classic_ml.features import build_training_set, materialize, online_features
from classic_ml.ingestion import ingest
from classic_ml.lakehouse import Lakehouse
from sluice.database import connect, migrate
from sluice.home import Home
from tests.classic_ml.conftest import FEBRUARY, JANUARY

TRAINING_SET = "e8a7a737322cf80644895e98bb86fbffb9925a7f2644aa51cefbd4b8150b6925"
"""Of the sample as of January: changes only where rows, features or the hash do."""


@dataclass(frozen=True)
class Project:
    home: Home
    engine: Engine
    lakehouse: Lakehouse


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    home = Home(tmp_path_factory.mktemp("home"))
    url = f"sqlite:///{home.root / 'sluice.db'}"
    migrate(url)
    made = Project(home, connect(url), Lakehouse(home.root / "lakehouse"))
    ingest(SAMPLE, CHURN, JANUARY, lakehouse=made.lakehouse, engine=made.engine, home=home)
    return made


def test_every_row_of_the_sample_passes(project: Project) -> None:
    assert [table.layer for table in project.lakehouse.tables(["churn"])] == ["bronze", "silver", "gold"]
    gold = project.lakehouse.read("gold", "churn")
    assert gold.height == 7043
    assert sum(gold.null_count().row(0)) == 0


def test_the_training_set_has_its_known_hash(project: Project) -> None:
    made = build_training_set(project.lakehouse, [CUSTOMER], CHURNED, project.engine, project.home)
    assert made.id == TRAINING_SET


def test_a_model_finds_the_signal(project: Project) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    made = build_training_set(project.lakehouse, [CUSTOMER], CHURNED, project.engine, project.home)
    rows = made.read()
    features = rows.select(made.features).with_columns(pl.col(pl.Boolean).cast(pl.Int8))
    texts = features.select(pl.col(pl.String)).columns
    prepare = make_column_transformer((OneHotEncoder(), texts), remainder=StandardScaler())
    model = make_pipeline(prepare, LogisticRegression(max_iter=2000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_score(model, features.to_pandas(), rows[made.label].to_numpy(), cv=folds, scoring="roc_auc")
    assert scores.mean() >= 0.840


def test_what_is_served_equals_what_is_learned_from_for_every_customer(project: Project) -> None:
    materialize(project.engine, project.lakehouse, CUSTOMER)
    made = build_training_set(project.lakehouse, [CUSTOMER], CHURNED, project.engine, project.home)
    learned = {row.pop("customer_id"): row for row in made.read().drop("at", made.label).to_dicts()}
    served = {entity: online_features(project.engine, CUSTOMER, entity).values for entity in learned}
    assert len(served) == 7043
    assert served == learned


def test_a_row_alone_gives_the_features_that_it_gives_among_all(project: Project) -> None:
    gold = project.lakehouse.read("gold", "churn")
    together = CUSTOMER.rows(gold)
    for place in range(0, gold.height, 500):
        assert CUSTOMER.rows(gold[place : place + 1]).equals(together[place : place + 1])


def test_planted_faults_are_quarantined_for_their_reasons_and_nothing_else_is(engine: Engine, tmp_path: Path) -> None:
    expected = plant_faults(tmp_path / "planted.csv", seed=3)
    home, lakehouse = Home(tmp_path / "home"), Lakehouse(tmp_path / "lakehouse")
    loaded = ingest(tmp_path / "planted.csv", CHURN, JANUARY, lakehouse=lakehouse, engine=engine, home=home)
    rows = lakehouse.read("quarantine", "churn").iter_rows(named=True)
    assert {row["row"]: tuple(row["reasons"]) for row in rows} == expected
    assert (len(expected), loaded.quarantined, loaded.accepted) == (40, 40, 7043)
    assert build_training_set(lakehouse, [CUSTOMER], CHURNED, engine, home).id == TRAINING_SET


def test_a_shifted_month_passes_the_gate_and_differs_as_it_says(project: Project, tmp_path: Path) -> None:
    shifted_month(tmp_path / "february.csv", seed=1)
    shifted_month(tmp_path / "again.csv", seed=1)
    assert (tmp_path / "february.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
    lakehouse = Lakehouse(tmp_path / "lakehouse")
    home = Home(tmp_path / "home")
    loaded = ingest(tmp_path / "february.csv", CHURN, FEBRUARY, lakehouse=lakehouse, engine=project.engine, home=home)
    assert (loaded.accepted, loaded.quarantined) == (7043, 0)
    facts = (
        "SELECT avg(monthly_charges) AS bill, avg((contract = 'Month-to-month')::INT) AS monthly, "
        "corr(churned::INT, tenure) AS rule FROM churn"
    )
    before, after = (house.sql(facts).to_dicts()[0] for house in (project.lakehouse, lakehouse))
    assert after["bill"] > 1.2 * before["bill"]
    assert after["monthly"] > before["monthly"] + 0.1
    assert before["rule"] < -0.3
    assert after["rule"] > 0.1
