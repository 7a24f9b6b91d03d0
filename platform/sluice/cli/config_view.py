"""The settings in force, as YAML or one a line, without what is secret."""

import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Any, cast

import yaml

from sluice.logs import redact
from sluice.settings import Section, Settings
from sluice.settings_faults import KeyPath, origin_of


def as_yaml(settings: Settings) -> str:
    """All sections as a file of settings would have them."""
    return yaml.safe_dump(_in_force(settings), sort_keys=False, allow_unicode=True, width=120).rstrip()


def as_lines(settings: Settings, origins: Mapping[KeyPath, str]) -> Iterator[str]:
    """Each setting with its value, and where that comes from."""
    for path, value in _leaves(_in_force(settings)):
        dumped = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
        shown = dumped.removesuffix("...\n").rstrip()
        origin = origin_of(path, origins) if _is_given(path, origins) else None
        yield f"{'.'.join(map(str, path))}: {shown}  # {origin or 'default'}"


def _in_force(settings: Settings) -> dict[str, Any]:
    sections = settings.model_dump(mode="json", exclude={"extensions"})
    for entry in sorted(importlib.metadata.entry_points(group="sluice.settings"), key=lambda entry: entry.name):
        model: type[Section] = entry.load()
        sections[entry.name] = settings.section(entry.name, model).model_dump(mode="json")
    return _redacted(sections)


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _redacted(below) for name, below in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_redacted(item) for item in cast("list[Any]", value)]
    return redact(value) if isinstance(value, str) else value


def _leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict) and value:
        for name, below in cast("dict[str, Any]", value).items():
            yield from _leaves(below, (*path, name))
    else:
        yield path, value


def _is_given(path: KeyPath, origins: Mapping[KeyPath, str]) -> bool:
    """Whether the key itself stands somewhere, or a variable gave the whole section."""
    return path in origins or any(origins.get(path[:end], "").startswith("Variable ") for end in range(1, len(path)))
