"""Log files of processes, which write to them directly and so go on when nobody watches."""

import shutil
from pathlib import Path

LIMIT_BYTES = 10 * 1024 * 1024


def log_path(logs: Path, name: str) -> Path:
    """Where process `name` logs: `smollm2/0` to `smollm2-0.log`."""
    return logs / f"{name.replace('/', '-')}.log"


def bound(path: Path, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Keep `path` below its limit: beyond it, move what is there to `<path>.1` and go on with an empty file.

    Copied and cut, not renamed: the process holds the file open (for appending, so it goes on at the new end).
    """
    if not path.exists() or path.stat().st_size <= limit_bytes:
        return False
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    with path.open("r+b") as file:
        file.truncate(0)
    return True


def tail(path: Path, lines: int, start: int = 0) -> list[str]:
    """The last `lines` lines that were written from byte `start` on."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = start if start <= size else 0
            file.seek(max(start, size - 500 * lines - 4096))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:] if lines else []
