"""The guard of child processes: `guard.c`, compiled and preloaded into all of them through the environment."""

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("guard.c")


class ChildGuard:
    """The preloaded library and the log that it appends to."""

    def __init__(self, library: Path, log: Path) -> None:
        self._log = log
        self._read = 0
        log.touch()
        preloaded = os.environ.get("LD_PRELOAD")
        self.environment = {
            "LD_PRELOAD": f"{library}:{preloaded}" if preloaded else str(library),
            "LOOPBACK_GUARD_LOG": str(log),
        }

    def take(self) -> list[str]:
        """The lines since the last call: process, command, call and address, separated by tabs."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        self._read += len(new)
        return new.decode("utf-8", "replace").splitlines()


def build_child_guard(folder: Path) -> ChildGuard | None:
    """Compile the library into `folder`; None on a machine without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "guard.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", library, SOURCE, "-ldl"]
    subprocess.run(command, check=True)
    return ChildGuard(library, folder / "guard.log")


def unguarded_environment() -> dict[str, str]:
    """For the few children that fetch packages for the tests."""
    return {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "LOOPBACK_GUARD_LOG")}
