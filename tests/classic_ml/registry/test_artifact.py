"""Model files are read only as they were logged."""

import pickle
from pathlib import Path

import pytest

from classic_ml.registry.artifact import file_hash, load_pickle
from sluice.errors import Conflict, NotFound


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.path, "harm")


def test_a_changed_file_is_refused_before_anything_in_it_runs(tmp_path: Path) -> None:
    path, harm = tmp_path / "model.pkl", tmp_path / "harm"
    path.write_bytes(pickle.dumps({"a": 1}))
    logged = file_hash(path)
    assert load_pickle(path, logged) == {"a": 1}
    path.write_bytes(pickle.dumps(Harmful(harm)))
    with pytest.raises(Conflict, match="was changed since it was logged"):
        load_pickle(path, logged)
    assert not harm.exists()


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"model\.pkl is gone"):
        load_pickle(tmp_path / "model.pkl", "")
