"""The Git commit that a file's content comes from."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from prompts.prompt import blob_hash


@dataclass(frozen=True)
class Commit:
    """A commit: its hash, its author's e-mail address, and the first line of its message."""

    hash: str
    author: str
    subject: str


def commit_of(path: Path, content: bytes, ref: str = "HEAD") -> Commit | None:
    """The commit that gave the file this content; None where it has another one at `ref`, or no repository is there."""
    if _git(path, "rev-parse", f"{ref}:./{path.name}") != blob_hash(content):
        return None
    fields = _git(path, "log", "-1", "--format=%H%x00%ae%x00%s", ref, "--", path.name)
    return Commit(*fields.split("\0")) if fields else None


def _git(path: Path, *arguments: str) -> str:
    """What Git prints; nothing where it fails or is not installed."""
    command = ["git", "-C", str(path.absolute().parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)  # noqa: S603
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
