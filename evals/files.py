"""Where a suite's files are read from, and how one line of them is."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from sluice.errors import ConfigurationError

Reader = Callable[[str], bytes | None]
"""The content of a path, None where there is no such file: on disk, or as it was at a commit."""

Line = TypeVar("Line", bound=msgspec.Struct)


def from_disk(path: str) -> bytes | None:
    """The reader of files on disk.

    Raises:
        ConfigurationError: the file is there but cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None


def read_lines(path: str, content: bytes, line_type: type[Line]) -> Iterator[tuple[str, Line]]:
    """Each line of a JSON Lines file with where it stands, such as `cases.jsonl, line 3`.

    Raises:
        ConfigurationError: a line is no JSON object of this type; it names file, line and key.
    """
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            yield where, msgspec.json.decode(line, type=line_type)
        except msgspec.ValidationError as error:
            keys = ", ".join(field.name for field in msgspec.structs.fields(line_type))
            raise ConfigurationError(f"{where}: {error}.", fix=f"Known keys: {keys}.") from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise ConfigurationError(f"{where}: not JSON: {error}.") from None
