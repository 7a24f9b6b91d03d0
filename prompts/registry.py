"""The versions of prompts that requests can name, in the database. Labels stand in `sluice.promotion`."""

import re
from datetime import UTC, datetime
from typing import ClassVar

from sqlalchemy import Engine, String
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, col, select, update

from prompts.commit import Commit
from prompts.prompt import SHOWN, Prompt, parse_prompt
from prompts.prompt_file import NAME
from sluice import lineage
from sluice.database import UtcDateTime
from sluice.errors import InvalidRequest, NotFound
from sluice.promotion import labelled

DEFAULT_LABEL = "production"
VERSION_LIKE = re.compile(r"[0-9a-f]{7,40}")
"""A whole version, or the beginning of one."""
LABEL = re.compile(r"[a-z][a-z0-9._-]{0,63}")


class PromptVersion(SQLModel, table=True):
    """One version: the file's text as it is in Git, and the commit that it comes from, once there is one."""

    __tablename__: ClassVar[str] = "prompt_version"  # pyright: ignore[reportIncompatibleVariableOverride]

    name: str = Field(primary_key=True, sa_type=String)
    version: str = Field(primary_key=True, sa_type=String)
    content: str = Field(sa_type=String)
    commit: str | None = Field(default=None, sa_type=String)
    author: str = Field(sa_type=String)
    at: datetime = Field(sa_type=UtcDateTime)

    def prompt(self) -> Prompt:
        """What it says, ready to render."""
        return parse_prompt(self.name, self.content.encode())


def register(engine: Engine, name: str, content: bytes, *, author: str, commit: Commit | None = None) -> Prompt:
    """Let requests name this version. A version that is known stays as it is, but that it may gain its commit.

    A version gets its lineage with its commit: without one, nothing is known of where it came from.

    Raises:
        InvalidRequest: `content` is no prompt.
        StateUnavailable: the database cannot be used.
    """
    prompt = parse_prompt(name, content)
    row = {
        "name": name,
        "version": prompt.version,
        "content": content.decode(),
        "author": author,
        "at": datetime.now(UTC),
    }
    with Session(engine) as session:
        insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
        session.connection().execute(insert(PromptVersion).values(row).on_conflict_do_nothing())
        if commit is not None:
            session.exec(
                update(PromptVersion)
                .where(
                    col(PromptVersion.name) == name,
                    col(PromptVersion.version) == prompt.version,
                    col(PromptVersion.commit).is_(None),
                )
                .values(commit=commit.hash)
            )
            lineage.record(session, f"commit:{commit.hash}", {"author": commit.author, "subject": commit.subject})
            lineage.record(
                session,
                f"prompt:{prompt.reference}",
                {"description": prompt.description, "author": author},
                [("commit", f"commit:{commit.hash}")],
            )
        session.commit()
    return prompt


def find_version(engine: Engine, name: str, version_or_label: str = DEFAULT_LABEL) -> Prompt:
    """The version of a prompt that a hash, the beginning of one (7 digits at least), or a label names.

    Raises:
        NotFound: there is no such prompt, version or label, or the beginning fits several; `param` says which field.
        StateUnavailable: the database cannot be used.
    """
    return find_row(engine, name, version_or_label).prompt()


def find_row(engine: Engine, name: str, version_or_label: str) -> PromptVersion:
    """As `find_version`: the version as it is kept."""
    if not NAME.fullmatch(name):
        raise _no_prompt(name)
    beginning = version_or_label if VERSION_LIKE.fullmatch(version_or_label) else None
    if beginning is None and LABEL.fullmatch(version_or_label):
        label = labelled(engine, "prompt", name, version_or_label)
        beginning = label and label.version
    of_this_name = select(PromptVersion).where(PromptVersion.name == name).limit(2)
    with Session(engine) as session:
        found = (
            list(session.exec(of_this_name.where(col(PromptVersion.version).startswith(beginning))))
            if beginning
            else []
        )
        if len(found) == 1:
            return found[0]
        if session.exec(of_this_name).first() is None:
            raise _no_prompt(name)
    what = "several versions" if found else "no version or label"
    raise NotFound(
        f"Prompt '{name}' has {what} '{version_or_label[:SHOWN]}'.",
        fix=f"See: sluice prompts history {name}",
        param="prompt.version",
    )


def list_versions(engine: Engine, name: str | None = None) -> list[PromptVersion]:
    """The versions of one prompt, or of all, by name and oldest first.

    Raises:
        NotFound: there is no prompt of that name.
        StateUnavailable: the database cannot be used.
    """
    chosen = select(PromptVersion).order_by(col(PromptVersion.name), col(PromptVersion.at))
    if name is not None:
        chosen = chosen.where(PromptVersion.name == name)
    with Session(engine) as session:
        found = list(session.exec(chosen))
    if name is not None and not found:
        raise _no_prompt(name)
    return found


def check_label(label: str) -> None:
    """Refuse a label that could not be told from a version, or that no request could name.

    Raises:
        InvalidRequest: it is such a label.
    """
    if not LABEL.fullmatch(label) or VERSION_LIKE.fullmatch(label):
        raise InvalidRequest(
            f"'{label[:SHOWN]}' cannot be a label.", fix="Use a word of small letters, digits, '.', '_' and '-'."
        )


def _no_prompt(name: str) -> NotFound:
    return NotFound(
        f"There is no prompt '{name[:SHOWN]}'.", fix="'sluice prompts list' shows what there is.", param="prompt.id"
    )
