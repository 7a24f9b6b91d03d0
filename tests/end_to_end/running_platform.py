"""The whole platform, started, asked and stopped as a user does it: by the command line, in processes of its own."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import yaml
from sqlmodel import Session, select

from gateway.usage.record import UsageRow
from sluice.database import connect
from tests.ports import free_ports

REPOSITORY = Path(__file__).parents[2]
CHAT_MODEL = "smollm2"
EMBEDDING_MODEL = "minilm"
SERVICES = ("knowledge", "predictions")
# Without these vLLM refuses requests that leave the choice of a tool to the model.
TOOL_ARGUMENTS = ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]


def engine_python() -> Path:
    """The engine's Python: `SLUICE_PLATFORM__ENGINE_PYTHON`, else the checkout's own."""
    return Path(
        os.environ.get("SLUICE_PLATFORM__ENGINE_PYTHON", REPOSITORY / ".venv-vllm" / "bin" / "python")
    ).absolute()


class RunningPlatform:
    """A deployment with its own home folder, settings and ports.

    Models that were fetched into `home` stay there, so that the next session need not convert them again; all else is
    made anew. What a killed session left running is ended first.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._configs = home / "configs"
        self.up_output = ""
        first = free_ports(3 + len(SERVICES))
        self.gateway_port, self.chat_port, self.embedding_port, *self._service_ports = range(
            first, first + 3 + len(SERVICES)
        )
        self.origin = f"http://127.0.0.1:{self.gateway_port}"
        self.base_url = f"{self.origin}/v1"
        self.engine_url = f"http://127.0.0.1:{self.chat_port}"

    def prepare(self, fetching_environment: dict[str, str]) -> None:
        """Clean the home folder, write the settings, and fetch the models unless they are there.

        Args:
            fetching_environment: for the one command that may leave this machine.
        """
        if self._configs.exists():
            self.sluice("down")
        for entry in self.home.iterdir():
            if entry.name not in ("models", "lock"):
                subprocess.run(["rm", "-r", entry], check=True)
        self._write_settings()
        self.sluice("models", "pull", timeout=600, environment=fetching_environment)

    def up(self) -> None:
        self.up_output = self.sluice("up", timeout=900).stdout

    def down(self) -> None:
        """Stop it; fails if any process of it outlives the command."""
        self.sluice("down", timeout=300)
        left = self.processes()
        for process in left:
            process.kill()
        assert not left, f"`sluice down` left {left}"

    def sluice(
        self, *arguments: str, timeout: float = 300, exit_code: int = 0, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of `sluice` to its end and check its exit code."""
        command = [sys.executable, "-m", "sluice", *arguments]
        done = subprocess.run(
            command, env=self.environment(environment), cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == exit_code, f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def environment(self, base: dict[str, str] | None = None) -> dict[str, str]:
        """That of the tests, without what a developer may have set for another deployment."""
        inherited = os.environ if base is None else base
        kept = {name: value for name, value in inherited.items() if not name.startswith(("SLUICE_", "OPENAI_"))}
        # A machine needs no C++ compiler, so none is found here, nor what one made earlier.
        no_compiler = {"CXX": "no-compiler", "TORCHINDUCTOR_CACHE_DIR": str(self.home / "inductor")}
        return kept | no_compiler | {"SLUICE_CONFIG": str(self._configs), "COLUMNS": "200"}

    def bash(self, script: str) -> str:
        """What a script prints, run as a user's shell would run it from the checkout."""
        command = ["bash", "-eu", "-o", "pipefail", "-c", script]
        environment = self.environment() | {"PYTHON": sys.executable}
        done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def processes(self) -> list[psutil.Process]:
        """Every process on this machine that runs with this deployment's settings, but for the tests' own."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SLUICE_CONFIG") == str(self._configs) and process.is_running():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def status(self) -> dict[str, Any]:
        return json.loads(self.sluice("status", "--json").stdout)

    @property
    def key(self) -> str:
        found = re.search(r"^export OPENAI_API_KEY=(\S+)$", (self.home / "dev.env").read_text(), re.MULTILINE)
        assert found
        return found[1]

    def usage(self, key_id: str, count: int) -> list[UsageRow]:
        """The usage records of one key, oldest first, once there are `count` of them; fails if there are more."""
        engine = connect(f"sqlite:///{self.home / 'sluice.db'}")

        def rows() -> list[UsageRow]:
            with Session(engine) as session:
                chosen = select(UsageRow).where(UsageRow.key_id == key_id).order_by(UsageRow.request_id)
                return list(session.exec(chosen))

        wait_until(lambda: len(rows()) >= count)
        found = rows()
        engine.dispose()
        assert len(found) == count
        return found

    def _write_settings(self) -> None:
        settings: dict[str, dict[str, Any]] = {}
        for path in (REPOSITORY / "configs").glob("*.yaml"):
            settings |= yaml.safe_load(path.read_text())
        settings["platform"] = {"home": str(self.home), "engine_python": str(engine_python())}
        settings["gateway"] = {"port": self.gateway_port}
        settings["models"][CHAT_MODEL] |= {"port": self.chat_port, "arguments": TOOL_ARGUMENTS}
        settings["models"][EMBEDDING_MODEL] |= {"port": self.embedding_port}
        for name, port in zip(SERVICES, self._service_ports, strict=True):
            settings["services"][name] |= {"port": port}
        self._configs.mkdir()
        for section, values in settings.items():
            (self._configs / f"{section}.yaml").write_text(yaml.safe_dump({section: values}))


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.05)
