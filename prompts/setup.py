"""What `sluice up` does for prompts: the shipped ones can be asked for at once."""

from pathlib import Path

from sqlalchemy import Engine

from prompts.commit import commit_of
from prompts.prompt import read_content
from prompts.registry import register
from sluice.git_blob import as_in_git

LIBRARY = Path(__file__).parent / "library"
SHIPPED = "sluice"
"""The author of a shipped prompt outside of a Git repository."""


def register_library(engine: Engine) -> None:
    """Register each prompt of the library that came with this installation; those that are known stay as they are.

    Raises:
        InvalidRequest: a file is no prompt.
        StateUnavailable: the database cannot be used.
    """
    for path in sorted(LIBRARY.glob("*.yaml")):
        content = as_in_git(path, read_content(path))
        commit = commit_of(path, content)
        register(engine, path.stem, content, author=commit.author if commit else SHIPPED, commit=commit)
