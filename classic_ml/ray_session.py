"""Ray on this machine for as long as a piece of work takes, or the cluster that `RAY_ADDRESS` names."""

import hashlib
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from classic_ml.exclusive import exclusive
from sluice.home import Home
from sluice.offline import switch_off
from sluice.saving import save_whole

ENVIRONMENT = {
    # Processes are started when work needs them, not as many as there are cores.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_AUTH_MODE": "token",
    # Everything on loopback. Else Ray finds its own address by opening a socket towards 8.8.8.8, and listens there.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}


@contextmanager
def ray_session(home: Home, purpose: str, *, cpus: int, logs: bool = False) -> Generator[None]:
    """Run Ray while the block runs; where it runs in this process already, use that.

    Args:
        purpose: one session of each purpose at a time, so that what a killed one left can be removed.
        logs: what Ray's workers log appears on this process's output.

    Raises:
        Conflict: another process has a session of this purpose.
        ProcessFailed: Ray did not start.
    """
    switch_off()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("RAY_AUTH_TOKEN_PATH", str(_token(home)))
    import ray

    from classic_ml.ray_node import start_node

    if ray.is_initialized():
        yield
        return
    if "RAY_ADDRESS" in os.environ:
        ray.init(log_to_driver=logs, logging_level=logging.ERROR)
        try:
            yield
        finally:
            ray.shutdown()
        return
    with exclusive(home, f"ray-{purpose}"):
        folder = _folder(home, purpose)
        shutil.rmtree(folder, ignore_errors=True)
        node = start_node(folder, cpus, logs)
        try:
            ray.init(address=node.address, log_to_driver=logs, logging_level=logging.ERROR)
            yield
        finally:
            ray.shutdown()
            node.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)
            shutil.rmtree(folder, ignore_errors=True)


def _token(home: Home) -> Path:
    """What Ray's processes prove themselves with; Ray would write it to the user's own home folder."""
    path = home.run / "ray-token"
    if not path.exists():
        save_whole(path, secrets.token_hex(32).encode(), 0o600)
    return path


def _folder(home: Home, purpose: str) -> Path:
    """Sockets lie in it, and a socket's path may have 107 characters only: it cannot lie in the home folder."""
    name = hashlib.sha256(f"{home.root}:{purpose}".encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"sluice-ray-{os.getuid()}-{name}"
