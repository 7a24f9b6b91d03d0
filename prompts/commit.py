"""The Git commit that a file's content comes from."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Commit:
    """A commit: its hash, its author's e-mail address, and the first line of its message."""

    hash: str
    author: str
    subject: str


def as_in_git(path: Path, content: bytes) -> bytes:
    """What Git has committed, where the file's content is that but for what the checkout made of it: its line endings."""
    committed = _git(path, "rev-parse", f"HEAD:./{path.name}")
    if committed and committed == _git(path, "hash-object", "--stdin", f"--path={path.name}", given=content):
        return _git(path, "cat-file", "blob", f"HEAD:./{path.name}") or content
    return content


def commit_of(path: Path, content: bytes, ref: str = "HEAD") -> Commit | None:
    """The commit that gave the file this content; None where it has another one at `ref`, or no repository is there."""
    if _git(path, "cat-file", "blob", f"{ref}:./{path.name}") != content:
        return None
    fields = _git(path, "log", "-1", "--format=%H%x00%ae%x00%s", ref, "--", path.name)
    return Commit(*fields.decode(errors="replace").strip().split("\0")) if fields else None


def _git(path: Path, *arguments: str, given: bytes | None = None) -> bytes | None:
    """What Git prints; None where it fails or is not installed."""
    command = ["git", "-C", str(path.absolute().parent), *arguments]
    try:
        return subprocess.run(command, input=given, capture_output=True, check=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
