"""Installing what Sluice is compared with, each into a scratch environment that later runs find again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from gateways.launching import TargetError

PEERS = Path(".sluice/bench/peers").absolute()


def python_peer(name: str, *requirements: str) -> Path:
    """The folder of programs of an environment that holds `requirements`, exact versions, from PyPI.

    Raises:
        TargetError: uv is not to be found, or the installation failed.
    """
    folder = PEERS / name
    if not _is_installed(folder, requirements):
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if uv is None:
            raise TargetError("uv was not found: pip install uv")
        # pip's setting for a folder of local wheels, which uv does not read by itself.
        environment = os.environ | {"UV_FIND_LINKS": os.environ.get("PIP_FIND_LINKS", "")}
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], environment)
        python = str(folder / "bin/python")
        _run([uv, "pip", "install", "--quiet", "--python", python, *requirements], environment)
        _mark_installed(folder, requirements)
    return folder / "bin"


def npm_peer(name: str, package: str) -> Path:
    """The `node_modules` folder that holds `package`, an exact version, from npm.

    Raises:
        TargetError: node or npm is not to be found, or the installation failed.
    """
    folder = PEERS / name
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise TargetError("node and npm were not found: apt-get install nodejs npm")
    if not _is_installed(folder, (package,)):
        folder.mkdir(parents=True, exist_ok=True)
        _run(["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", package], dict(os.environ))
        _mark_installed(folder, (package,))
    return folder / "node_modules"


def _run(command: list[str], environment: dict[str, str]) -> None:
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if result.returncode:
        raise TargetError(f"{Path(command[0]).name} failed: {' '.join(result.stderr.split())[-300:]}")


def _is_installed(folder: Path, requirements: tuple[str, ...]) -> bool:
    mark = folder / "installed.txt"
    return mark.exists() and mark.read_text() == "\n".join(requirements)


def _mark_installed(folder: Path, requirements: tuple[str, ...]) -> None:
    (folder / "installed.txt").write_text("\n".join(requirements))
