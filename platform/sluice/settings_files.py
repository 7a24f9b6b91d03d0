"""Reading `Settings` from YAML files and the environment, with errors that name the file, the line and the key."""

import difflib
import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError

from sluice.errors import ConfigurationError
from sluice.logs import redact
from sluice.settings import Section, Settings

KeyPath = tuple[str | int, ...]
RESERVED = {"SLUICE_CONFIG", "SLUICE_DEBUG"}
"""Variables that steer the program itself and are no settings."""


def load_settings(folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read every `*.yaml` of `folder` (default: `$SLUICE_CONFIG`, else `configs`), then `SLUICE_*` variables over it.

    `SLUICE_GATEWAY__PORT=9000` sets `gateway.port`; a variable's value is read as YAML.

    Raises:
        ConfigurationError: names file, line, key and what was expected.
    """
    folder = folder or Path(environment.get("SLUICE_CONFIG", "configs"))
    if not folder.is_dir():
        raise ConfigurationError(
            f"There is no folder '{folder}' in {Path.cwd()}.",
            fix="Go to where it is, or set SLUICE_CONFIG to the folder of the settings; it may be empty.",
        )
    merged: dict[str, Any] = {}
    origins: dict[KeyPath, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        _merge_file(path, merged, origins)
    for name, value in environment.items():
        if name.startswith("SLUICE_") and name not in RESERVED:
            _merge_variable(name, value, merged, origins)
    extensions = _read_extensions(merged, origins)
    try:
        return Settings.model_validate({**merged, "extensions": extensions})
    except ValidationError as error:
        raise _explain(error, origins) from None


def _read_extensions(merged: dict[str, Any], origins: Mapping[KeyPath, str]) -> dict[str, Section]:
    """Take out the sections that packages above the kernel declare, under the entry points `sluice.settings`."""
    sections: dict[str, Section] = {}
    for entry in importlib.metadata.entry_points(group="sluice.settings"):
        if entry.name in merged:
            model: type[Section] = entry.load()
            try:
                sections[entry.name] = model.model_validate(merged.pop(entry.name))
            except ValidationError as error:
                raise _explain(error, origins, model, entry.name) from None
    return sections


def _merge_file(path: Path, merged: dict[str, Any], origins: dict[KeyPath, str]) -> None:
    try:
        node = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
        data: Any = {} if node is None else _construct(node, (), path, origins)
    except (yaml.YAMLError, ValueError) as error:  # the latter: no UTF-8, or a date such as 2026-99-99
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise ConfigurationError(f"{path}{line}: not valid YAML: {problem}.") from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}, line 1: expected sections such as 'gateway:', found {_kind(data)}.")
    for section, value in cast("dict[str, Any]", data).items():
        if section in merged:
            raise ConfigurationError(
                f"{origins[(section,)]}: section '{section}' stands in two files.", fix="Keep one."
            )
        merged[section] = value


def _construct(node: yaml.Node, path: KeyPath, file: Path, origins: dict[KeyPath, str]) -> Any:
    """Plain data from a YAML node, noting where each key stands, and refusing a key given twice."""
    origins[path] = f"{file}, line {node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            where = f"{file}, line {key_node.start_mark.line + 1}"
            if key in mapping:
                raise ConfigurationError(f"{where}: '{key}' is given twice.", fix="Keep one.")
            mapping[key] = _construct(value_node, (*path, key), file, origins)
            origins[(*path, key)] = where
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*path, index), file, origins) for index, item in enumerate(node.value)]
    return yaml.SafeLoader("").construct_object(node)


def _merge_variable(name: str, value: str, merged: dict[str, Any], origins: dict[KeyPath, str]) -> None:
    path = tuple(name.removeprefix("SLUICE_").lower().split("__"))
    try:
        data = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        raise ConfigurationError(f"Variable {name}: not valid YAML: {redact(repr(value))}.") from None
    level = merged
    for part in path[:-1]:
        below: Any = level.setdefault(_existing_key(level, part), {})
        if not isinstance(below, dict):
            raise ConfigurationError(f"Variable {name}: '{part}' holds no further settings.")
        level = cast("dict[str, Any]", below)
    level[_existing_key(level, path[-1])] = data
    origins[path] = f"Variable {name}"


def _existing_key(level: Mapping[str, Any], part: str) -> str:
    """The key that a variable's lower-cased part means: model names may hold capitals and dashes."""
    return next((key for key in level if key.lower().replace("-", "_") == part), part)


def _explain(
    error: ValidationError, origins: Mapping[KeyPath, str], model: type[Section] = Settings, *below: str
) -> ConfigurationError:
    """The first thing wrong, named by where it stands; `below` is the path of what `model` describes."""
    first = error.errors(include_url=False)[0]
    path: KeyPath = (*below, *first["loc"])
    expected = first["msg"].removeprefix("Value error, ")
    if not path and ": " in expected:  # what concerns several sections names the key itself
        name, expected = expected.split(": ", 1)
        path = tuple(name.split("."))
    known = path
    while known and known not in origins:
        known = known[:-1]
    where = origins.get(known, "Settings")
    key = ".".join(str(part) for part in path)
    prefix = f"{where}: {key}: " if key else f"{where}: "
    if first["type"] == "extra_forbidden":
        return ConfigurationError(f"{prefix}unknown key.", fix=_suggestion(model, first["loc"]))
    if first["type"] == "missing":
        return ConfigurationError(f"{prefix}is required.")
    found = "" if first["type"] == "value_error" else f", found {redact(repr(first['input']))}"
    return ConfigurationError(f"{prefix}{expected[:1].lower()}{expected[1:]}{found}.")


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


def _kind(data: object) -> str:
    return {"list": "a list", "str": "text", "int": "a number"}.get(type(data).__name__, "a single value")
