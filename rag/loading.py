"""From a folder to documents: what LlamaIndex's readers make of each file, or why a file was skipped."""

import hashlib
import logging
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sluice.errors import NotFound

if TYPE_CHECKING:
    from llama_index.core.readers.base import BaseReader

Format = Literal["markdown", "html", "pdf", "text"]

SUFFIXES: dict[str, Format] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
}
"""A file with any other suffix is read as text."""

PAGE_BREAK = "\f"
"""Stands between the pages of a PDF's text, as `pdftotext` has it."""

_NOT_UTF8 = re.compile("[\ud800-\udfff]")
"""How Python writes bytes of a file's name that are no UTF-8; neither a hash nor JSON can take them."""

Progress = Callable[[str, int, int], None]
"""Told what is done, how many of them are, and how many there are."""


@dataclass(frozen=True)
class Document:
    """One file as it was read.

    Attributes:
        path: relative to the folder, with `/`.
        sha256: of the file's bytes.
        text: what the spans of its chunks count in, in characters.
    """

    path: str
    sha256: str
    format: Format
    text: str


@dataclass(frozen=True)
class Skipped:
    """A file that was not read, and why: a clause that follows its path."""

    path: str
    why: str


def load_folder(folder: Path, file_bytes: int, progress: Progress) -> tuple[list[Document], list[Skipped]]:
    """Every document below a folder, in the order of their paths. Hidden files and folders are passed over.

    A link to a file counts as that file where it lies in the folder too: nothing else was named to be indexed.

    Raises:
        NotFound: there is no such folder, or nothing in it can be read.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise NotFound(f"'{folder}' {what}.", fix="Name the folder that holds the documents.")
    files, skipped = _list_files(folder)
    documents: list[Document] = []
    for done, file in enumerate(files):
        progress("files", done, len(files))
        read = load_file(file, file.relative_to(folder).as_posix(), file_bytes)
        if isinstance(read, Document):
            documents.append(read)
        else:
            skipped.append(read)
    progress("files", len(files), len(files))
    if not documents:
        found = "is empty" if not skipped else f"holds nothing that can be read: {skipped[0].path} {skipped[0].why}"
        raise NotFound(f"Folder '{folder}' {found}.", fix="Put Markdown, HTML, PDF or text files into it.")
    return documents, skipped


def load_file(file: Path, path: str, file_bytes: int) -> Document | Skipped:
    """One file, known by `path` from here on."""
    kind = SUFFIXES.get(file.suffix.lower(), "text")
    try:
        if file.stat().st_size > file_bytes:
            return Skipped(path, f"is larger than {file_bytes} bytes (rag.file_bytes)")
        content = file.read_bytes()
    except OSError as error:
        return Skipped(path, f"cannot be opened: {error.strerror}")
    if kind != "pdf" and (why := _not_text(content)):
        return Skipped(path, why)
    try:
        pages = [str(page.text) for page in _reader(kind).load_data(file)]
    except Exception as error:  # whatever a parser makes of a damaged file
        return Skipped(path, f"cannot be read as {kind.upper()} ({_reason(error)})")
    if not _still_holds(file, content):  # then the hash would name another text than was read
        return Skipped(path, "changed while it was read")
    # A PDF may map its glyphs to halves of surrogate pairs, which no UTF-8 can hold.
    text = PAGE_BREAK.join(pages).encode("utf-8", "replace").decode().removeprefix("\ufeff")
    if not text.strip():
        return Skipped(path, "holds no text")
    return Document(path, hashlib.sha256(content).hexdigest(), kind, text)


def _reader(kind: Format) -> "BaseReader":
    if kind == "html":
        from rag.html import HtmlReader

        return HtmlReader()
    # The package sets up the root logger when imported, unless that has a handler.
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)
    try:
        from llama_index.readers.file import FlatReader, PDFReader
    finally:
        root.removeHandler(silent)
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # of a damaged file we tell, once
    return PDFReader() if kind == "pdf" else FlatReader()


def _not_text(content: bytes) -> str | None:
    if b"\0" in content:
        return "is no text but binary"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"is not UTF-8 (byte {error.start})"
    return None


def _reason(error: Exception) -> str:
    from tenacity import RetryError

    # LlamaIndex tries a PDF three times, and then tells of that only.
    cause = error.last_attempt.exception() if isinstance(error, RetryError) else error
    return str(cause).partition("\n")[0].rstrip(".") or type(cause).__name__


def _still_holds(file: Path, content: bytes) -> bool:
    try:
        return file.read_bytes() == content
    except OSError:
        return False


def _list_files(folder: Path) -> tuple[list[Path], list[Skipped]]:
    """The files below a folder that are to be read, and what will not even be tried."""
    files: list[Path] = []
    skipped: list[Skipped] = []

    def skip(path: Path, why: str) -> None:
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
        skipped.append(Skipped(name, why))

    def cannot_list(error: OSError) -> None:
        skip(Path(error.filename), f"cannot be opened: {error.strerror}")

    inside = os.path.realpath(folder)
    for parent, folders, names in os.walk(folder, onerror=cannot_list):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if Path(parent, name).is_symlink()]  # they are not followed
        for path in (Path(parent, name) for name in (*links, *names) if not name.startswith(".")):
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                skip(path, "is a link that leads out of the folder")
            elif _NOT_UTF8.search(str(path.relative_to(folder))):
                skip(path, "has a name that is not UTF-8")
            elif _may_be_read(path):
                files.append(path)
    return sorted(files), sorted(skipped, key=lambda one: one.path)


def _may_be_read(path: Path) -> bool:
    """Whether it is a file; where even that cannot be told, reading it will say why."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True
