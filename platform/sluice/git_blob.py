"""A file's content as Git knows it: what a prompt's version is the hash of."""

import hashlib
import subprocess
from pathlib import Path


def blob_hash(content: bytes) -> str:
    """The hash that Git gives a file of this content, also outside of a repository (SHA-1, as in most of them)."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def as_in_git(path: Path, content: bytes) -> bytes:
    """What Git has committed, where the file's content is that but for what the checkout made of it: its line endings."""
    committed = ask_git(path, "rev-parse", f"HEAD:./{path.name}")
    if committed and committed == ask_git(path, "hash-object", "--stdin", f"--path={path.name}", given=content):
        return ask_git(path, "cat-file", "blob", f"HEAD:./{path.name}") or content
    return content


def ask_git(path: Path, *arguments: str, given: bytes | None = None) -> bytes | None:
    """What Git prints in a file's folder; None where it fails or is not installed."""
    command = ["git", "-C", str(path.absolute().parent), *arguments]
    try:
        return subprocess.run(command, input=given, capture_output=True, check=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
