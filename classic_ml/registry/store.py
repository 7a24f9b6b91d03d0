"""MLflow's tracking store and registry: SQLite and local files below the home folder."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sluice.home import Home
from sluice.offline import switch_off

if TYPE_CHECKING:
    from mlflow import MlflowClient


def open_store(home: Home) -> "MlflowClient":
    """The client of the home folder's store, which is made if need be."""
    switch_off()
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    from mlflow import MlflowClient

    folder = home.root / "mlflow"
    database = folder / "mlflow.db"
    if not database.exists():
        _make(folder, database)
    return MlflowClient(f"sqlite:///{database}")


def has_store(home: Home) -> bool:
    """Whether anything was ever trained here."""
    return (home.root / "mlflow" / "mlflow.db").exists()


def experiment_of(client: "MlflowClient", home: Home, name: str) -> str:
    """The id of a model's experiment; its artefacts lie below the home folder."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    return client.create_experiment(name, artifact_location=(home.root / "mlflow" / "artifacts" / name).as_uri())


def artifacts_of(client: "MlflowClient", run_id: str) -> Path:
    """The folder of a run's artefacts."""
    return Path(urlsplit(str(client.get_run(run_id).info.artifact_uri)).path)


def _make(folder: Path, database: Path) -> None:
    """MLflow makes its tables in dozens of transactions; killed between two of them, the next start would fail for good.
    So they are made aside."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    aside = folder / "being-made"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    store = SqlAlchemyStore(f"sqlite:///{aside / 'mlflow.db'}", (folder / "artifacts").as_uri())
    store.engine.dispose()
    (aside / "mlflow.db").replace(database)
    aside.rmdir()
