"""The `sluice` command as a process: what a person sees."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def sluice(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sluice", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ | variables, timeout=120)


def test_version_and_help(tmp_path: Path) -> None:
    assert sluice("--version", folder=tmp_path).stdout.strip() == "0.1.0"
    done = sluice("--help", folder=tmp_path)
    assert done.returncode == 0
    assert all(
        f"  {name}" in done.stdout for name in ("up", "down", "status", "logs", "models", "keys", "chat", "doctor")
    )


def test_help_imports_nothing_that_takes_long(tmp_path: Path) -> None:
    code = "import sys; from sluice.cli.main import build; build(); "
    code += "print({'pydantic', 'sqlalchemy', 'sqlmodel', 'httpx', 'yaml', 'psutil', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("arguments", [("nope",), ("keys", "create"), ("status", "--bad")])
def test_a_wrong_call_shows_the_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = sluice(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ")
    assert "Traceback" not in done.stderr


def test_an_error_is_one_line_with_its_fix_and_a_traceback_only_on_request(tmp_path: Path) -> None:
    done = sluice("status", folder=tmp_path, SLUICE_CONFIG="nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: There is no folder 'nowhere'")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" in sluice("status", "--debug", folder=tmp_path, SLUICE_CONFIG="nowhere").stderr
