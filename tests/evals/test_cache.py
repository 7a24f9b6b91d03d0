"""What was kept is given back only while the same models answer."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evals.cache import Cache, serving
from sluice.home import Home
from sluice.models.sources import Record, _identity  # pyright: ignore[reportPrivateUsage]
from sluice.settings import Settings


def deployment(folder: Path, digest: str, **changes: Any) -> Settings:
    """One fetched model; `changes` are to its settings."""
    model = {"source": {"package": "small"}, "port": 1, **changes}
    settings = Settings.model_validate({"platform": {"home": folder}, "models": {"small": model}})
    shelf = Home(folder).models / "small" / _identity(settings.models["small"].source)
    shelf.mkdir(parents=True, exist_ok=True)
    (shelf / "source.json").write_text(json.dumps(asdict(Record("small", digest, str(shelf), ""))))
    return settings


def test_other_weights_or_another_engine_are_another_answer(tmp_path: Path) -> None:
    before = serving(deployment(tmp_path, "sha256:a"))
    other_weights = serving(deployment(tmp_path, "sha256:b"))
    other_engine = serving(deployment(tmp_path, "sha256:a", dtype="float32"))
    assert len({before, other_weights, other_engine}) == 3
    assert serving(deployment(tmp_path, "sha256:a")) == before


def test_what_is_damaged_is_not_there(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("abc", 1)
    assert cache.get("abc", int) == 1
    [file] = tmp_path.rglob("*.json")
    file.write_text("{")
    assert cache.get("abc", int) is None
