"""One process at a time: a lock that the kernel lets go when its holder ends, also by `kill -9`."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager

from sluice.errors import Conflict
from sluice.home import Home


@contextmanager
def exclusive(home: Home, name: str) -> Generator[None]:
    """Hold `<home>/run/<name>.lock`.

    Raises:
        Conflict: another process holds it.
    """
    home.run.mkdir(parents=True, exist_ok=True)
    with (home.run / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Another process holds '{name}' of {home.root}.", fix="Wait until it has ended.") from None
        yield
