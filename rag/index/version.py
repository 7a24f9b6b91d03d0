"""A version of an index: its manifest, where it lies, and which one is in use."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from sluice.errors import InvalidRequest, NotFound, StateUnavailable
from sluice.promotion import Candidate, labelled

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LABEL = "production"
MANIFEST, NEWEST, POINTS = "manifest.json", "newest", "points"


@dataclass(frozen=True)
class IndexedDocument:
    """A file that is in an index."""

    path: str
    sha256: str
    characters: int
    chunks: int


@dataclass(frozen=True)
class IndexVersion:
    """`manifest.json`: what an index was made from, and what searching it needs to know.

    Attributes:
        version: a hash of the documents, the settings that shape chunks, and the embedding model's weights.
        model: the embedding model; `digest` its weights' hash.
        average_terms: terms of an average chunk, for BM25.
    """

    name: str
    version: str
    model: str
    digest: str
    dimensions: int
    chunk_tokens: int
    language: str
    average_terms: float
    chunks: int
    documents: tuple[IndexedDocument, ...]

    @property
    def id(self) -> str:
        """Its id in the lineage: `index:<name>@<version>`."""
        return Candidate("index", self.name, self.version).id


def check_name(name: str) -> None:
    """Refuse what cannot be an index's name.

    Raises:
        InvalidRequest: it says what can.
    """
    if not NAME.fullmatch(name):
        fix = "Take letters, digits, '.', '_' and '-', at most 64, a letter or digit first."
        raise InvalidRequest(f"'{name[:100]}' cannot be an index's name.", fix=fix, param="index")


def write_manifest(folder: Path, version: IndexVersion) -> None:
    """Write it so that it is on disk."""
    with (folder / MANIFEST).open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(version), indent=1))
        os.fsync(file.fileno())


def read_manifest(home: Path, name: str, version: str) -> IndexVersion | None:
    """A version that was built; None where there is none.

    Raises:
        StateUnavailable: its manifest is damaged.
    """
    folder = home / name / version
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=IndexVersion)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise damaged(name, folder, error) from None


def damaged(name: str, folder: Path, error: Exception) -> StateUnavailable:
    """What to raise where a version's files cannot be read."""
    return StateUnavailable(
        f"Index '{name}' in '{folder}' cannot be opened: {error}.", fix="Remove that folder and index again."
    )


def current_version(home: Path, engine: Engine, name: str) -> IndexVersion:
    """The version in use: the one that the label `production` is on, else the one built last.

    Raises:
        NotFound: there is no such index yet, or not this version of it; it names those that there are.
        StateUnavailable: the database cannot be used, or the version is damaged.
    """
    check_name(name)
    label = labelled(engine, "index", name, LABEL)
    if label is not None:
        version = read_manifest(home, name, label.version)
        if version is None:
            raise NotFound(
                f"Version {label.version} of index '{name}', which '{LABEL}' is on, is not in '{home}'.",
                fix="Index the documents again as they were then.",
            )
        return version
    try:
        newest = (home / name / NEWEST).read_text("utf-8")
    except FileNotFoundError:
        newest = ""
    version = read_manifest(home, name, newest) if newest else None
    if version is None:
        raise _unknown(home, name)
    return version


def index_names(home: Path) -> list[str]:
    """The indexes that were built."""
    return sorted(path.parent.name for path in home.glob(f"*/{NEWEST}"))


def _unknown(home: Path, name: str) -> NotFound:
    if names := index_names(home):
        return NotFound(
            f"There is no index '{name}'.",
            fix=f"Take one of: {', '.join(names)}; or make it: sluice rag index FOLDER --name {name}",
            param="index",
        )
    return NotFound("Nothing has been indexed yet.", fix="Run: sluice rag index FOLDER", param="index")
