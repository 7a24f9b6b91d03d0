"""What is wrong with settings, each in a sentence that names where it stands, the key, and what was expected."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sluice.errors import ConfigurationError
from sluice.logs import redact
from sluice.settings import Section, Settings

KeyPath = tuple[str | int, ...]


def explain(
    error: ValidationError, origins: Mapping[KeyPath, str], model: type[Section] = Settings, *below: str
) -> list[ConfigurationError]:
    """All that pydantic found; `below` is the path of what `model` describes."""
    return [
        _sentence(path, expected, details, origins, model)
        for details in error.errors(include_url=False)
        for path, expected in _named(details, below)
    ]


def _named(details: ErrorDetails, below: tuple[str, ...]) -> Iterator[tuple[KeyPath, str]]:
    """The key and what was expected. What concerns several sections is a line for each fault, and names the key itself."""
    path: KeyPath = (*below, *details["loc"])
    expected = details["msg"].removeprefix("Value error, ")
    if path:
        yield path, expected
        return
    for line in expected.splitlines():
        name, separator, rest = line.partition(": ")
        yield (tuple(name.split(".")), rest) if separator else ((), line)


def _sentence(
    path: KeyPath, expected: str, details: ErrorDetails, origins: Mapping[KeyPath, str], model: type[Section]
) -> ConfigurationError:
    key = ".".join(str(part) for part in path)
    where = origin_of(path, origins) or "Settings"
    prefix = f"{where}: {key}: " if key else f"{where}: "
    if details["type"] == "extra_forbidden":
        return ConfigurationError(f"{prefix}unknown key.", fix=_suggestion(model, details["loc"]))
    if details["type"] == "missing":
        return ConfigurationError(f"{prefix}is required.")
    found = "" if details["type"] == "value_error" else f", found {redact(repr(details['input']))}"
    return ConfigurationError(f"{prefix}{expected[:1].lower()}{expected[1:]}{found}.")


def origin_of(path: KeyPath, origins: Mapping[KeyPath, str]) -> str | None:
    """Where a key stands, or the nearest one above it."""
    while path and path not in origins:
        path = path[:-1]
    return origins.get(path)


def _suggestion(model: type[Section], path: KeyPath) -> str:
    """What the author of an unknown key may have meant, from the fields of the section it stands in."""
    section: Any = model
    for part in path[:-1]:
        if _is_section(section):
            field = section.model_fields.get(str(part))
            section = field.annotation if field else None
        else:  # a dict of sections, and `part` a name in it
            section = get_args(section)[-1] if get_args(section) else None
    if not _is_section(section):
        return ""
    names = list(section.model_fields)
    close = difflib.get_close_matches(str(path[-1]), names, n=1)
    return f"Did you mean '{close[0]}'?" if close else f"Known keys: {', '.join(names)}."


def _is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
