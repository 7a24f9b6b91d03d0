"""What was asked and scored already, so that a repeated or killed run goes on instead of paying twice."""

import hashlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sluice.models.sources import read_record
from sluice.saving import save_whole
from sluice.settings import Settings

Kept = TypeVar("Kept")


class Cache:
    """One small file for each answer and score, named by a hash of all that it depends on.

    Args:
        fresh: give back nothing, so that everything is asked again and replaced.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.folder, self.fresh = folder, fresh

    def get(self, key: str, kept_type: type[Kept]) -> Kept | None:
        """What is kept under a key; None also where the file is damaged."""
        if self.fresh:
            return None
        try:
            return msgspec.json.decode(self._path(key).read_bytes(), type=kept_type)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def put(self, key: str, value: Any) -> None:
        """Keep a value; a kill at any moment leaves the whole of it or nothing."""
        save_whole(self._path(key), msgspec.json.encode(value))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def key_of(*parts: Any) -> str:
    """The hash of everything that an answer or score depends on."""
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


def serving(settings: Settings) -> str:
    """A hash of what stands behind the models' names: weights, settings of their engines, routes and guardrails.

    With another of these, other answers come; base as it was answered before would be compared with head as it is now.
    What changes at another provider, or in a folder of weights that is used where it lies, nobody can see here.
    """
    home = settings.home
    records = {name: read_record(name, model, home) for name, model in settings.models.items()}
    weights = {name: record.digest for name, record in records.items() if record}
    chosen = settings.model_dump(mode="json", include={"models", "routes", "guardrails"})
    return key_of(weights, chosen)[:16]
