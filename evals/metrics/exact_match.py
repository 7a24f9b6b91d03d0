"""Whether an answer is the reference, word for word."""

from typing import Literal

from evals.case import Answer, Case, Score
from evals.metrics.settings import Access, MetricSettings, Scorer
from evals.metrics.squad import normalise, references


class ExactMatch(MetricSettings):
    """`metric: exact_match`."""

    metric: Literal["exact_match"]

    def scorer(self, access: Access | None) -> Scorer:
        return exact_match


def exact_match(case: Case, answer: Answer) -> Score:
    """1 where the answer equals one of the references after SQuAD's normalisation, else 0."""
    given = normalise(answer.text)
    return Score(float(any(given == normalise(expected) for expected in references(case))))
