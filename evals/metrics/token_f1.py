"""How much of the reference's words an answer has, and how few others."""

from typing import Literal

from evals.case import Answer, Case, Score
from evals.metrics.settings import Access, MetricSettings, Scorer
from evals.metrics.squad import f1, references


class TokenF1(MetricSettings):
    """`metric: token_f1`."""

    metric: Literal["token_f1"]

    def scorer(self, access: Access | None) -> Scorer:
        return token_f1


def token_f1(case: Case, answer: Answer) -> Score:
    """SQuAD's F1 with the reference that fits best."""
    return Score(max((f1(expected, answer.text) for expected in references(case)), default=0.0))
