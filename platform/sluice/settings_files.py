"""Reading `Settings` from YAML files and the environment, with errors that name the file, the line and the key."""

import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from sluice.errors import ConfigurationError
from sluice.logs import redact
from sluice.settings import Section, Settings
from sluice.settings_faults import KeyPath, explain
from sluice.strict_yaml import NotYaml, check_size, read_yaml

RESERVED = {"SLUICE_CONFIG", "SLUICE_DEBUG"}
"""Variables that steer the program itself and are no settings."""
NAMED = ("models", "routes", "services")
"""Sections that hold items by name."""


def load_settings(folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read every `*.yaml` of `folder` (default: `$SLUICE_CONFIG`, else `configs`), then `SLUICE_*` variables over it.

    `SLUICE_GATEWAY__PORT=9000` sets `gateway.port`; a variable's value is read as YAML.

    Raises:
        ConfigurationError: the first thing wrong; names file, line, key and what was expected.
    """
    reading = read_settings(folder, environment)
    if reading.settings is None:
        raise reading.faults[0]
    return reading.settings


@dataclass
class Reading:
    """What a folder of settings and the environment came to.

    Attributes:
        settings: None where anything is wrong.
        faults: all that is wrong. What concerns several sections is told of those that are right by themselves.
        origins: by key, the file with the line, or the variable, that it comes from.
    """

    settings: Settings | None = None
    faults: list[ConfigurationError] = field(default_factory=list[ConfigurationError])
    files: list[Path] = field(default_factory=list[Path])
    origins: dict[KeyPath, str] = field(default_factory=dict[KeyPath, str])


def read_settings(folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> Reading:
    """The same as `load_settings`, without stopping at what is wrong.

    Raises:
        ConfigurationError: there is no such folder.
    """
    folder = folder or Path(environment.get("SLUICE_CONFIG", "configs"))
    if not folder.is_dir():
        raise ConfigurationError(
            f"There is no folder '{folder}' in {Path.cwd()}.",
            fix="Go to where it is, or set SLUICE_CONFIG to the folder of the settings; it may be empty.",
        )
    reading = Reading(files=sorted(folder.glob("*.yaml")))
    merged: dict[str, Any] = {}
    for path in reading.files:
        _merge_file(path, merged, reading)
    for name, value in environment.items():
        if name.startswith("SLUICE_") and name not in RESERVED:
            _merge_variable(name, value, merged, reading)
    unread = bool(reading.faults)
    if "extensions" in merged:
        where = reading.origins["extensions",]
        reading.faults.append(ConfigurationError(f"{where}: extensions: unknown key."))
    extensions = _read_extensions(merged, reading)
    try:
        settings = Settings.model_validate({**merged, "extensions": extensions})
    except ValidationError as error:
        # Between sections, something may only seem wrong because a file could not be read.
        between_sections = error.errors()[0]["loc"] == ()
        if not (unread and between_sections):
            reading.faults += explain(error, reading.origins)
        if not (unread or between_sections):
            reading.faults += _faults_beside(error, {**merged, "extensions": extensions}, reading)
    else:
        reading.settings = None if reading.faults else settings
    return reading


def _faults_beside(error: ValidationError, data: dict[str, Any], reading: Reading) -> list[ConfigurationError]:
    """What is wrong between sections beside single wrong values: with what holds these left out. What then names something
    that was left out says nothing."""
    rest, gone = dict(data), set[str]()
    for details in error.errors(include_url=False):
        section, *below = details["loc"]
        items: Any = rest.get(str(section))
        if section in NAMED and below and isinstance(items, dict):
            gone.add(str(below[0]))
            rest[str(section)] = {name: item for name, item in items.items() if name != below[0]}  # pyright: ignore[reportUnknownVariableType]
        else:
            rest.pop(str(section), None)
    try:
        Settings.model_validate(rest)
    except ValidationError as further:
        marks = [mark for name in gone for mark in (f"'{name}'", f".{name}.", f".{name}:")]
        faults = explain(further, reading.origins) if further.errors()[0]["loc"] == () else []
        return [fault for fault in faults if not any(mark in str(fault) for mark in marks)]
    return []


def _read_extensions(merged: dict[str, Any], reading: Reading) -> dict[str, Section]:
    """Take out the sections that packages above the kernel declare, under the entry points `sluice.settings`."""
    sections: dict[str, Section] = {}
    for entry in importlib.metadata.entry_points(group="sluice.settings"):
        if entry.name in merged:
            model: type[Section] = entry.load()
            try:
                sections[entry.name] = model.model_validate(merged.pop(entry.name))
            except ValidationError as error:
                reading.faults += explain(error, reading.origins, model, entry.name)
    return sections


def _merge_file(path: Path, merged: dict[str, Any], reading: Reading) -> None:
    before = {section: reading.origins[(section,)] for section in merged}
    try:
        node = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
        if node is not None:
            check_size(node)
        data: Any = {} if node is None else _construct(node, (), path, reading)
    except OSError as error:
        reading.faults.append(ConfigurationError(f"{path}: cannot be read: {error.strerror}."))
        return
    except NotYaml as error:
        reading.faults.append(ConfigurationError(f"{path}, line {error.line}: {error.what}", fix=error.fix))
        return
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or a date such as 2026-99-99
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        reading.faults.append(ConfigurationError(f"{path}{line}: not valid YAML: {problem}."))
        return
    if not isinstance(data, dict):
        expected = f"expected sections such as 'gateway:', found {_kind(data)}"
        reading.faults.append(ConfigurationError(f"{path}, line 1: {expected}."))
        return
    for section, value in cast("dict[str, Any]", data).items():
        if section in merged:
            where = reading.origins[(section,)]
            twice = f"{where}: section '{section}' stands in {before[section]} too."
            reading.faults.append(ConfigurationError(twice, fix="Keep one."))
        merged[section] = value


def _construct(node: yaml.Node, path: KeyPath, file: Path, reading: Reading) -> Any:
    """Plain data from a YAML node, noting where each key stands, and which is given twice."""
    reading.origins[path] = f"{file}, line {node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            where = f"{file}, line {key_node.start_mark.line + 1}"
            if key in mapping:
                reading.faults.append(ConfigurationError(f"{where}: '{key}' is given twice.", fix="Keep one."))
            mapping[key] = _construct(value_node, (*path, key), file, reading)
            reading.origins[(*path, key)] = where
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*path, index), file, reading) for index, item in enumerate(node.value)]
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (LookupError, AttributeError):  # of !!bool, !!int and !!timestamp before what is none
        raise yaml.constructor.ConstructorError(
            None, None, "a value is not what its tag says", node.start_mark
        ) from None


def _merge_variable(name: str, value: str, merged: dict[str, Any], reading: Reading) -> None:
    path = tuple(name.removeprefix("SLUICE_").lower().split("__"))
    try:
        _, data = read_yaml(os.fsencode(value))
    except NotYaml:
        reading.faults.append(ConfigurationError(f"Variable {name}: not valid YAML: {redact(repr(value))}."))
        return
    level = merged
    keys: KeyPath = ()
    for part in path[:-1]:
        key = _existing_key(level, part)
        below: Any = level.setdefault(key, {})
        if not isinstance(below, dict):
            reading.faults.append(ConfigurationError(f"Variable {name}: '{part}' holds no further settings."))
            return
        level = cast("dict[str, Any]", below)
        keys = (*keys, key)
    key = _existing_key(level, path[-1])
    level[key] = data
    reading.origins[*keys, key] = f"Variable {name}"


def _existing_key(level: Mapping[str, Any], part: str) -> str:
    """The key that a variable's lower-cased part means: model names may hold capitals and dashes."""
    return next((key for key in level if key.lower().replace("-", "_") == part), part)


def _kind(data: object) -> str:
    return {"list": "a list", "str": "text", "int": "a number"}.get(type(data).__name__, "a single value")
