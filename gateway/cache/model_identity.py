"""What answers under a model's name, so exactly that another model under the same name is told apart."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from sluice.home import Home
from sluice.models.sources import read_record
from sluice.route_settings import TargetSettings
from sluice.settings import ModelSettings, Settings


def model_identities(settings: Settings) -> dict[str, str]:
    """By route, what answers: the weights with the settings they run under, or the server elsewhere with the name it
    knows the model by. A model that is not fetched yet has none, nor has a route that several models answer.

    Reads files: not on an event loop.
    """
    home = settings.home
    identities: dict[str, str] = {}
    for name, model in settings.models.items():
        if weights := _weights(name, model, home):
            identities[name] = f"{weights} {model.model_dump_json(exclude={'port', 'replicas', 'start_seconds'})}"
    for name, route in settings.routes.items():
        answering = {_target(name, target, identities) for target in route.targets}
        if len(answering) == 1 and (identity := answering.pop()):
            identities[name] = identity
    return identities


def _target(route: str, target: TargetSettings, models: Mapping[str, str]) -> str | None:
    if target.serves is not None:
        return models.get(target.serves)
    return f"{target.url} {target.provider} {target.model or route}"


def _weights(name: str, model: ModelSettings, home: Home) -> str | None:
    if record := read_record(name, model, home):
        return record.digest
    path = model.source.path
    return _state(path) if path is not None and path.is_dir() else None


def _state(folder: Path) -> str:
    """Of a folder that is used where it lies: its files' sizes and times, since reading gigabytes takes minutes."""
    digest = sha256()
    for file in sorted(folder.iterdir()):
        state = file.stat()
        digest.update(f"{file.name}|{state.st_size}|{state.st_mtime_ns}\n".encode())
    return f"files:{digest.hexdigest()}"
