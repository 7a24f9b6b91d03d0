"""A lock that ends with its holder."""

import subprocess
import sys
from pathlib import Path

import pytest

from classic_ml.exclusive import exclusive
from sluice.errors import Conflict
from sluice.home import Home

HOLD = """
import sys
from pathlib import Path
from classic_ml.exclusive import exclusive
from sluice.home import Home
with exclusive(Home(Path(sys.argv[1])), "training"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_refused_until_the_holder_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ".:platform"},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(Conflict, match="Another process holds 'training'"), exclusive(Home(tmp_path), "training"):
        pass
    with exclusive(Home(tmp_path), "another"):
        pass
    holder.kill()
    holder.wait()
    with exclusive(Home(tmp_path), "training"):
        pass
