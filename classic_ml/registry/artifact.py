"""A model's files: the one that is served, and those of the folds. Each is read only if it is the one that was logged."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

from sluice.errors import Conflict, NotFound

MODEL = "model/model.pkl"
"""Of MLflow's scikit-learn flavour, in a run's artefacts."""
FOLD_MODELS = "fold_models.pkl"


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_pickle(path: Path, expected_hash: str) -> Any:
    """What a file holds, unpickled only after its hash was checked: unpickling runs whatever stands in it.

    Raises:
        NotFound: the file is gone.
        Conflict: it was changed.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"The model's file {path} is gone.", fix="Train it again.") from None
    if hashlib.sha256(content).hexdigest() != expected_hash:
        raise Conflict(f"The model's file {path} was changed since it was logged.", fix="Train it again.")
    return pickle.loads(content)  # noqa: S301, its hash is the one that was recorded
