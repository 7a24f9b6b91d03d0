"""A home folder in which three versions of a model were registered, copied for each test that asks for it.

Training without Ray: what is tested on top of it needs versions, and Ray's own tests stand in `training/test_train.py`.
"""

import csv
import gzip
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from classic_ml.churn import CHURN, CHURNED, CUSTOMER
from classic_ml.churn.samples import SAMPLE
from classic_ml.features import TrainingSet, build_training_set, materialize
from classic_ml.ingestion import ingest
from classic_ml.lakehouse import Lakehouse
from classic_ml.registry.store import open_store
from classic_ml.registry.versions import register
from classic_ml.training.cross_fit import cross_fit
from classic_ml.training.examples import as_examples
from classic_ml.training.run_log import begin_run, log_run
from sluice.database import connect, migrate
from sluice.home import Home

JANUARY = datetime(2026, 1, 31, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 28, tzinfo=UTC)
GOOD, SIMILAR, USELESS = "1", "2", "3"
"""A logistic regression; the same a little more regularised; one that is told nothing but the customer's gender."""
AUTHOR = "ada"
ROWS = 500


@dataclass
class Trained:
    """Where the versions are."""

    home: Home
    engine: Engine
    lakehouse: Lakehouse

    def month(self, at: datetime) -> TrainingSet:
        """The training set of one load."""
        return build_training_set(self.lakehouse, [CUSTOMER], CHURNED, self.engine, self.home, since=at, until=at)


@pytest.fixture(scope="session")
def trained_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once a session: MLflow takes seconds to make its tables."""
    trained = load_months(tmp_path_factory.mktemp("trained") / "home")
    january = trained.month(JANUARY)
    register_version(trained, january, {"algorithm": "logistic", "C": 1.0})
    register_version(trained, january, {"algorithm": "logistic", "C": 0.5})
    register_version(trained, replace(january, features=("gender",)), {"algorithm": "logistic", "C": 1.0})
    trained.engine.dispose()
    return trained.home.root


@pytest.fixture
def trained(trained_template: Path, tmp_path: Path) -> Iterator[Trained]:
    """The test's own copy."""
    shutil.copytree(trained_template, tmp_path / "home")
    found = open_trained(tmp_path / "home")
    yield found
    found.engine.dispose()


def load_months(root: Path) -> Trained:
    """A home folder with two months of customers, the second after bills rose, and no version yet."""
    trained = open_trained(root)
    migrate(str(trained.engine.url))
    for at, dear in ((JANUARY, 0), (FEBRUARY, 40)):
        file = write_customers(root / f"{at:%m}.csv", dear=dear)
        ingest(file, CHURN, at, lakehouse=trained.lakehouse, engine=trained.engine, home=trained.home)
    materialize(trained.engine, trained.lakehouse, CUSTOMER)
    return trained


def open_trained(root: Path) -> Trained:
    return Trained(Home(root), connect(f"sqlite:///{root / 'sluice.db'}"), Lakehouse(root / "lakehouse"))


def register_version(trained: Trained, training_set: TrainingSet, parameters: dict[str, Any]) -> str:
    """Fit, log and register in this process; returns the version."""
    client = open_store(trained.home)
    examples = as_examples(training_set.read(), training_set.entity, training_set.features, training_set.label)
    tags = {
        "sluice.author": AUTHOR,
        "sluice.training_set": training_set.id,
        "sluice.features": ",".join(training_set.features),
    }
    run = begin_run(client, trained.home, "churn", f"{parameters}", tags)
    log_run(client, run, examples, cross_fit(parameters, examples, seed=0), [])
    return register(client, trained.engine, trained.home, "churn", run).version


def write_customers(path: Path, dear: float = 0) -> Path:
    """Customers who leave early, or from month to month, and mostly for one of these reasons."""
    chance = random.Random(0)
    with gzip.open(SAMPLE, "rt", newline="") as sample:
        a_customer = next(csv.DictReader(sample))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(a_customer))
        writer.writeheader()
        for number in range(ROWS):
            tenure, monthly = chance.randint(1, 70), chance.uniform(20, 100) + dear
            monthwise = chance.random() < 0.5
            leaves = chance.random() < (0.75 if monthwise and tenure < 35 else 0.08)
            cells = {
                "customerID": f"{number:04d}-TESTS",
                "gender": chance.choice(["Female", "Male"]),
                "tenure": str(tenure),
                "Contract": "Month-to-month" if monthwise else "Two year",
                "MonthlyCharges": f"{monthly:.2f}",
                "TotalCharges": f"{monthly * tenure:.2f}",
                "Churn": "Yes" if leaves else "No",
            }
            writer.writerow(a_customer | cells)
    return path
