"""The Git commit that a file's content comes from."""

from dataclasses import dataclass
from pathlib import Path

from sluice.git_blob import ask_git


@dataclass(frozen=True)
class Commit:
    """A commit: its hash, its author's e-mail address, and the first line of its message."""

    hash: str
    author: str
    subject: str


def commit_of(path: Path, content: bytes, ref: str = "HEAD") -> Commit | None:
    """The commit that gave the file this content; None where it has another one at `ref`, or no repository is there."""
    if ask_git(path, "cat-file", "blob", f"{ref}:./{path.name}") != content:
        return None
    fields = ask_git(path, "log", "-1", "--format=%H%x00%ae%x00%s", ref, "--", path.name)
    return Commit(*fields.decode(errors="replace").strip().split("\0")) if fields else None
