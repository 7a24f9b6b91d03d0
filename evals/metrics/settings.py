"""What all metrics of a suite have in common."""

import hashlib
from collections.abc import Callable
from typing import Annotated, ClassVar

import msgspec
from pydantic import Field

from evals.case import Answer, Case, Score
from sluice.settings import Section

Scorer = Callable[[Case, Answer], Score]
Access = tuple[str, str]
"""Base URL (ending in /v1) and key of the gateway, for metrics that ask a model."""

Share = Annotated[float, Field(ge=0, le=1)]


class MetricSettings(Section):
    """One entry of a suite's `metrics:`.

    Attributes:
        name: what it is called in reports; needed where a suite has the same metric twice.
        margin: how much worse than base head may be on average, at most.
        minimum: what its mean must reach where there is nothing to compare it with.
        gate: whether it takes part in the verdict; else it is shown only.
    """

    name: str = ""
    margin: Share = 0.05
    minimum: Share | None = None
    gate: bool = True

    instruction: ClassVar[str] = ""
    """What a judge is told beyond its settings."""
    aside: ClassVar[set[str]] = {"name", "margin", "minimum", "gate"}
    """Fields that no score depends on."""

    @property
    def label(self) -> str:
        """Its name in reports."""
        return self.name or str(getattr(self, "metric", ""))

    @property
    def identity(self) -> str:
        """A hash of all that a score depends on, so not of what is made of the score."""
        chosen = self.model_dump(mode="json", exclude=self.aside)
        return hashlib.sha256(msgspec.json.encode([self.instruction, chosen], order="sorted")).hexdigest()


class JudgeSettings(MetricSettings):
    """What metrics have in common that ask a model.

    Attributes:
        model: the route that judges.
        labels: a file of cases that people have judged, relative to the suite; see `evals.calibration`.
        agreement: what the lower end of its measured agreement with them must reach before it may gate.
    """

    model: str
    labels: str | None = None
    agreement: Annotated[float, Field(ge=0, lt=1)] = 0.4

    aside: ClassVar[set[str]] = {*MetricSettings.aside, "labels", "agreement"}
