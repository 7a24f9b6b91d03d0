"""Files that are whole or not there, also after `kill -9` or a power cut."""

import os
import secrets
from pathlib import Path


def save_whole(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write aside, flush to the disk, rename; folders are made as needed.

    Args:
        mode: its permissions from the first moment, less the umask; 0o600 for what holds a secret.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
