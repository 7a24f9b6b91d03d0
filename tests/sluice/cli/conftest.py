"""The real command line over small stand-ins for the engine and the gateway, each a real process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.home import Home
from tests.ports import free_port
from tests.sluice.processes.conftest import SERVE

MAIN = """
import sys, typer
from sluice.cli.doctor import doctor
from sluice.cli.models import models
from sluice.cli.platform import platform
from sluice.errors import SluiceError
app = typer.Typer()
for commands in (platform, models, doctor):
    app.add_typer(commands)
try:
    app()
except SluiceError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""

ENGINE = """#!{python}
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
if os.path.exists(here + "/broken"):
    sys.exit("engine: out of memory")
if os.path.exists(here + "/slow"):
    import time; time.sleep(3_600)
sys.argv[1:] = [sys.argv[sys.argv.index("--port") + 1]]
{serve}
serve()
"""

GATEWAY = """
import sys
from sluice.settings_files import load_settings
sys.argv[1:] = [str(load_settings().gateway.port)]
{serve}
serve()
"""


class Deployment:
    """A folder with settings, in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / ".sluice")
        self.gateway_port, self.model_port = free_port(), free_port()
        self.write("main.py", MAIN)
        self.write("engine", ENGINE.format(python=sys.executable, serve=SERVE))
        (folder / "engine").chmod(0o755)
        self.write("gateway/__init__.py", "")
        self.write("gateway/__main__.py", GATEWAY.format(serve=SERVE))
        self.write("model/config.json", "{}")
        self.write(
            "configs/all.yaml",
            f"platform:\n  engine_python: engine\ngateway:\n  port: {self.gateway_port}\n"
            f"models:\n  small:\n    source: {{path: model}}\n    port: {self.model_port}\n    dtype: float32\n",
        )

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        root = Path(__file__).parents[3]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        return subprocess.Popen(
            [sys.executable, "main.py", *arguments],
            cwd=self.folder,
            env=environment | {"PYTHONPATH": f"{self.folder}:{root / 'platform'}", "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path)
    yield deployment
    deployment.run("down")


@pytest.fixture
def empty_database(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Settings that name an empty database, for commands that are run in this process."""
    monkeypatch.setenv("SLUICE_CONFIG", str(tmp_path))
    monkeypatch.setenv("SLUICE_PLATFORM__DATABASE", database_url)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("USER", "ops")
    return database_url
