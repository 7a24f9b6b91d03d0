"""Suites on disk and scripted subjects for the tests of evals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from evals.case import Answer, Case
from evals.suite import Suite, load_suite
from tests.evals.repository import as_lines, capital_cases

EXACT = {"metric": "exact_match"}


def write_suite(folder: Path, cases: list[dict[str, Any]] | int = 20, **keys: Any) -> Path:
    """A suite's file with its cases beside it; by default of exact match."""
    rows = capital_cases(cases) if isinstance(cases, int) else cases
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.jsonl").write_text(as_lines(rows), "utf-8")
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({"name": "capital", "cases": "cases.jsonl", "metrics": [EXACT], **keys}), "utf-8")
    return path


def make_suite(folder: Path, cases: list[dict[str, Any]] | int = 20, **keys: Any) -> Suite:
    return load_suite(str(write_suite(folder, cases, **keys)))


def wrong_on(ids: set[str]) -> Callable[[Case], Answer]:
    """Right on every other case."""
    return lambda case: Answer("wrong" if case.id in ids else str(case.expected))
