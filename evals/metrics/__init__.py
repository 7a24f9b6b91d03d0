"""One file a metric: how its entry in a suite looks, and a function `(Case, Answer) -> Score`."""

from typing import Annotated

from pydantic import Field

from evals.metrics.exact_match import ExactMatch
from evals.metrics.faithfulness import Faithfulness
from evals.metrics.json_schema import JsonSchema
from evals.metrics.judge import Judge
from evals.metrics.settings import Access, JudgeSettings, MetricSettings, Scorer
from evals.metrics.token_f1 import TokenF1

Metric = Annotated[ExactMatch | TokenF1 | JsonSchema | Judge | Faithfulness, Field(discriminator="metric")]

__all__ = ["Access", "JudgeSettings", "Metric", "MetricSettings", "Scorer"]
