"""Reading a CSV file as it came: all text, and a clear word about what makes it none."""

import csv
import difflib
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import polars as pl

from sluice.errors import InvalidRequest, NotFound

CELLS = "cells"


@dataclass(frozen=True)
class CsvFile:
    """One file.

    Attributes:
        hash: SHA-256 of its bytes, compressed or not, as they came.
        rows: its columns as text, in the order asked for, and how many `cells` each line had: what is missing is empty
            text, what is too much is left to the file itself.
    """

    name: str
    content: bytes
    hash: str
    rows: pl.DataFrame


def read_csv(path: Path, columns: Sequence[str]) -> CsvFile:
    """Read a file (`.gz` too) that has exactly these columns, in any order.

    Raises:
        NotFound: there is no such file.
        InvalidRequest: it is no CSV file, is empty, or its columns are others.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.") from None
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from None
    rows = _parse(path.name, _text_of(path.name, content), columns)
    return CsvFile(path.name, content, sha256(content).hexdigest(), rows)


def _parse(name: str, text: str, columns: Sequence[str]) -> pl.DataFrame:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str | int]] = []
    try:
        header = next(lines)
        _check_columns(name, header, columns)
        blank = [""] * len(header)
        for cells in lines:
            if cells:  # a blank line is no row
                rows.append([*(cells + blank)[: len(header)], len(cells)])
    except csv.Error as error:
        raise InvalidRequest(f"{name}, line {lines.line_num}, is no CSV: {error}.") from None
    if not rows:
        raise InvalidRequest(f"{name} has a header, but no rows.")
    schema = dict.fromkeys(header, pl.String()) | {CELLS: pl.Int64()}
    return pl.DataFrame(rows, schema, orient="row").select(*columns, CELLS)


def _text_of(name: str, content: bytes) -> str:
    no_csv = InvalidRequest(f"{name} is no CSV file.", fix="Expected UTF-8 text with a header line, or that as .gz.")
    try:
        raw = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        text = raw.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        raise no_csv from None
    if not text.strip():
        raise InvalidRequest(f"{name} is empty.")
    if "\0" in text:
        raise no_csv
    return text


def _check_columns(name: str, header: Sequence[str], columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in header]
    extra = [column for column in header if column not in columns]
    if len(header) == 1 and (other := next((mark for mark in ";\t|" if mark in header[0]), None)):
        shown = "tabs" if other == "\t" else f"'{other}'"
        raise InvalidRequest(f"{name} parts its cells by {shown}.", fix="Save it with commas between them.")
    if len(missing) == len(columns):
        raise InvalidRequest(
            f"{name} has none of the expected columns; it is no CSV file, or of something else.",
            fix=f"Expected: {', '.join(columns)}.",
        )
    if repeated := sorted({column for column in header if header.count(column) > 1 and column in columns}):
        raise InvalidRequest(f"{name} has the {_named(repeated)} more than once.")
    if not missing and not extra:
        return
    faults = [f"lacks the {_named(missing)}"] if missing else []
    faults += [f"has the unknown {_named(extra)}"] if extra else []
    renames = [
        f"'{close[0]}' to '{column}'"
        for column in missing
        if (close := difflib.get_close_matches(column, extra, n=1, cutoff=0.5))
    ]
    fix = f"Rename {', '.join(renames)}." if renames else "Nothing was loaded."
    raise InvalidRequest(f"{name} {' and '.join(faults)}.", fix=fix)


def _named(columns: Sequence[str]) -> str:
    names = ", ".join(f"'{column}'" for column in columns)
    return f"column {names}" if len(columns) == 1 else f"columns {names}"
