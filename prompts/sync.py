"""Registering a folder of prompts."""

from pathlib import Path

from sqlalchemy import Engine

from prompts.commit import Commit, commit_of
from prompts.prompt import Prompt, parse_prompt, read_content
from prompts.registry import register
from sluice.errors import NotFound
from sluice.gateway_client import gateway_access
from sluice.git_blob import as_in_git
from sluice.identity import identify
from sluice.settings import Settings


def sync_folder(engine: Engine, folder: Path, settings: Settings) -> list[tuple[Prompt, Commit | None]]:
    """Register each `*.yaml` of a folder; its author is its commit's, or where there is none the owner of the user's key.

    Raises:
        NotFound: there is no such folder, or no prompt in it.
        InvalidRequest: a file is no prompt; then none of them is registered.
        MissingRequirement, NotAuthenticated: a file is not committed, and there is no key that says whose it is.
        StateUnavailable: the database cannot be used.
    """
    contents = {path: as_in_git(path, read_content(path)) for path in sorted(folder.glob("*.yaml"))}
    if not contents:
        raise NotFound(f"There is no prompt in '{folder}'.", fix="Expected a folder with files such as capital.yaml.")
    for path, content in contents.items():
        parse_prompt(path.stem, content, str(path))
    commits = {path: commit_of(path, content) for path, content in contents.items()}
    owner = "" if all(commits.values()) else identify(engine, gateway_access(settings)[1]).owner
    return [
        (register(engine, path.stem, content, author=commit.author if commit else owner, commit=commit), commit)
        for path, content in contents.items()
        for commit in [commits[path]]
    ]
