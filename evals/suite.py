"""Suites: what is evaluated, on which cases, by which metrics, as YAML beside a file of cases."""

import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, get_args

import msgspec
from pydantic import BaseModel, Field, ValidationError, model_validator

from evals.calibration import Agreement, agreement_file, known_agreement
from evals.case import Case
from evals.files import Reader, from_disk, read_lines
from evals.metrics import JudgeSettings, Metric
from evals.metrics.exact_match import ExactMatch
from evals.metrics.token_f1 import TokenF1
from sluice.errors import ConfigurationError
from sluice.settings import Section
from sluice.strict_yaml import NotYaml, read_yaml


class SuiteFile(Section):
    """A suite's YAML file.

    Attributes:
        prompt: the name of the stored prompt that it evaluates.
        prompt_file: where that prompt's file lies in the repository; default `prompts/library/<prompt>.yaml`.
        ask: instead of a prompt, the index whose answers (`/v1/ask`) it evaluates.
        cases: a JSON Lines file, relative to this one: `{"id": …, "variables": {…}, "expected": …}`.
        model: the route that answers; default: the one that the prompt names.
        parameters: further fields of each request, over those that the prompt sets.
        confidence: of every interval, two-sided.
        repeats: how often each case is asked, with the seeds `seed`, `seed + 1`, …; its score is the mean.
        unscored: the largest share of cases without a score on either side with which it may still pass.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    prompt: str | None = None
    prompt_file: str | None = None
    ask: str | None = None
    cases: str
    model: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1)]
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    repeats: Annotated[int, Field(ge=1)] = 1
    seed: int = 0
    unscored: Annotated[float, Field(ge=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.prompt is not None and self.ask is not None:
            raise ValueError("ask: a suite evaluates a prompt or what ask answers, expected one of the two")
        if "seed" in self.parameters:  # it would stand over those of the repeats, which would then all be one
            raise ValueError("parameters.seed: the suite's own 'seed' is the one that counts, expected it there")
        labels = [metric.label for metric in self.metrics]
        if twice := [label for label in labels if labels.count(label) > 1]:
            raise ValueError(f"metrics: '{twice[0]}' stands there twice, expected a 'name' of its own for each")
        return self


@dataclass(frozen=True)
class Suite:
    """A suite with its cases, ready to run.

    Attributes:
        path: where its YAML file lies; `labels` of its judges are relative to it.
        data_hash: pins the cases and how they are asked.
        agreements: by metric, what was measured of its judge's agreement with people.
    """

    file: SuiteFile
    path: str
    cases: tuple[Case, ...]
    data_hash: str
    agreements: Mapping[str, Agreement]

    @property
    def name(self) -> str:
        """Its name in reports."""
        return self.file.name

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What its answers are scored by."""
        return self.file.metrics

    @property
    def cases_path(self) -> str:
        """Where its cases lie."""
        return beside(self.path, self.file.cases)

    @property
    def files(self) -> set[str]:
        """All that it judges by: its own file, its cases, its judges' labels and what was measured on them."""
        labels = {beside(self.path, labels) for one in self.metrics if (labels := getattr(one, "labels", None))}
        return {self.path, self.cases_path, *labels, *map(agreement_file, labels)}

    @property
    def prompt_path(self) -> str | None:
        """Where the file of its prompt lies in the repository, if it evaluates one."""
        default = self.file.prompt and f"prompts/library/{self.file.prompt}.yaml"
        return self.file.prompt_file or default


def load_suite(path: str, read: Reader = from_disk) -> Suite:
    """Read a suite and its cases.

    Raises:
        ConfigurationError: names the file and the key, or the line of the cases.
    """
    content = read(path)
    if content is None:
        raise ConfigurationError(f"There is no suite '{path}'.")
    file = _parse(path, content)
    cases_path = beside(path, file.cases)
    lines = read(cases_path)
    if lines is None:
        raise ConfigurationError(f"{path}: cases: there is no file '{cases_path}'.")
    cases = _read_cases(cases_path, lines, file)
    pinned = [[case, file.repeats, file.seed] for case in cases]
    data_hash = hashlib.sha256(msgspec.json.encode(pinned, order="sorted")).hexdigest()
    return Suite(file, path, cases, data_hash, _agreements(path, file, read))


def beside(path: str, relative: str) -> str:
    """The path of a file that a suite at `path` names."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))


def _agreements(path: str, file: SuiteFile, read: Reader) -> dict[str, Agreement]:
    found: dict[str, Agreement] = {}
    for metric in file.metrics:
        if isinstance(metric, JudgeSettings) and metric.labels is not None:
            labels = beside(path, metric.labels)
            if read(labels) is None:
                raise ConfigurationError(f"{path}: metrics: {metric.label}: labels: there is no file '{labels}'.")
            if (agreement := known_agreement(labels, metric, read)) is not None:
                found[metric.label] = agreement
    return found


def _parse(path: str, content: bytes) -> SuiteFile:
    try:
        _, data = read_yaml(content)
    except NotYaml as error:
        raise ConfigurationError(f"{path}, line {error.line}: {error.what}", fix=error.fix) from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: expected keys such as 'name:', 'cases:' and 'metrics:'.")
    try:
        return SuiteFile.model_validate(data)
    except ValidationError as error:
        raise _explain(path, error) from None


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    variables: dict[str, Any]
    expected: Any = None


def _read_cases(path: str, content: bytes, file: SuiteFile) -> tuple[Case, ...]:
    needing = [metric.label for metric in file.metrics if isinstance(metric, ExactMatch | TokenF1)]
    cases: dict[str, Case] = {}
    for where, line in read_lines(path, content, _Line):
        if line.id in cases:
            raise ConfigurationError(f"{where}: the id '{line.id}' stands there twice.", fix="Give each case its own.")
        if needing and line.expected is None:
            raise ConfigurationError(f"{where}: case '{line.id}' has no 'expected', which {needing[0]} needs.")
        if file.ask is not None and not line.variables.get("question"):
            raise ConfigurationError(f"{where}: case '{line.id}' lacks the variable 'question', which ask needs.")
        cases[line.id] = Case(line.id, line.variables, line.expected, file.model, file.parameters)
    if not cases:
        raise ConfigurationError(f"{path} holds no cases.")
    return tuple(cases.values())


def _explain(path: str, error: ValidationError) -> ConfigurationError:
    """The first thing wrong, named by its key."""
    first = error.errors(include_url=False)[0]
    metrics: Mapping[str, type[BaseModel]] = {
        get_args(kind.model_fields["metric"].annotation)[0]: kind for kind in get_args(get_args(Metric)[0])
    }
    kind = next((metrics[str(part)] for part in first["loc"] if part in metrics), SuiteFile)
    key = ".".join(str(part) for part in first["loc"] if part not in metrics)
    if first["type"] == "extra_forbidden":
        known = ", ".join(field.alias or name for name, field in kind.model_fields.items())
        return ConfigurationError(f"{path}: {key}: unknown key.", fix=f"Known keys: {known}.")
    if first["type"] == "missing":
        return ConfigurationError(f"{path}: {key}: is required.")
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return ConfigurationError(f"{path}: {key}.metric: expected one of {', '.join(metrics)}.")
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return ConfigurationError(f"{path}: {key}: {message}." if key else f"{path}: {message}.")
