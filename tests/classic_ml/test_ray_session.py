"""Ray's processes end with the one that started them, however it ends."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.ray

HOLD = """
import sys
from pathlib import Path
from classic_ml.ray_session import ray_session
from sluice.home import Home
with ray_session(Home(Path(sys.argv[1])), "test", cpus=1):
    import ray
    print(ray.get(ray.remote(lambda: 6 * 7).remote()), flush=True)
    sys.stdin.read()
"""


def start(home: Path) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ".:platform"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"42\n"
    return process, psutil.Process(process.pid).children(recursive=True)


def test_nothing_of_ray_outlives_its_driver(tmp_path: Path) -> None:
    process, below = start(tmp_path)
    assert {"gcs_server", "raylet"} <= {child.name() for child in below}
    process.kill()
    process.wait()
    # Ray's agents spend a minute on telling a head that is gone.
    _, alive = psutil.wait_procs(below, timeout=300)
    assert not alive
    process, below = start(tmp_path)
    process.communicate()
    assert process.returncode == 0
    _, alive = psutil.wait_procs(below, timeout=300)
    assert not alive
    assert (tmp_path / "run" / "ray-token").stat().st_mode & 0o077 == 0
