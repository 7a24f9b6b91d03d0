"""Running a suite: every case is asked and scored, several at a time, nothing twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from evals.cache import Cache, key_of
from evals.case import Answer, Case, Score
from evals.metrics import Access, MetricSettings, Scorer
from evals.refusals import is_about_the_case
from evals.subject import Subject
from evals.suite import Suite
from sluice.errors import InvalidRequest, UpstreamRefused

Progress = Callable[[int, int], None]
"""Told how many cases are done, of how many."""


@dataclass(frozen=True)
class Result:
    """One case's answers, one for each repeat, and its score by each metric's label."""

    case: Case
    answers: tuple[Answer, ...]
    scores: dict[str, Score]


@dataclass(frozen=True)
class Run:
    """One execution of a suite on one subject, in the order of its cases."""

    suite: str
    data_hash: str
    subject_id: str
    results: tuple[Result, ...]


@dataclass(frozen=True)
class Conditions:
    """How a run is carried out; none of it changes a score.

    Attributes:
        access: the gateway, for metrics that ask a model.
        folder: where answers and scores are kept; None keeps nothing.
        fresh: what is kept already is not taken, but replaced.
        concurrency: cases in progress at the same time.
    """

    access: Access | None = None
    folder: Path | None = None
    fresh: bool = False
    concurrency: int = 8
    progress: Progress = lambda done, of: None


def run_suite(suite: Suite, subject: Subject, *, subject_id: str = "", conditions: Conditions | None = None) -> Run:
    """Ask and score every case.

    Args:
        subject: called from several threads.
        subject_id: what it is, such as `prompt:capital@3f2a…`, whose answers may be kept. Leave it empty for what can
            change under its name, such as a label or an index: then every case is asked.

    Raises:
        InvalidRequest: a case does not fit the subject; the message names the case.
        SluiceError: the gateway, a model or a judge cannot go on. What was done so far is kept.
    """
    conditions = conditions or Conditions()
    cache = Cache(conditions.folder, fresh=conditions.fresh) if conditions.folder else None
    work = _Work(suite, subject, subject_id, cache, [(one, one.scorer(conditions.access)) for one in suite.metrics])
    results: dict[str, Result] = {}
    with ThreadPoolExecutor(conditions.concurrency, "case") as pool:
        try:
            for future in as_completed([pool.submit(work.on, case) for case in suite.cases]):
                result = future.result()
                results[result.case.id] = result
                conditions.progress(len(results), len(suite.cases))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Run(suite.name, suite.data_hash, subject_id, tuple(results[case.id] for case in suite.cases))


@dataclass(frozen=True)
class _Work:
    """What is done with one case."""

    suite: Suite
    subject: Subject
    subject_id: str
    cache: Cache | None
    scorers: list[tuple[MetricSettings, Scorer]]

    def on(self, case: Case) -> Result:
        seeds = range(self.suite.file.seed, self.suite.file.seed + self.suite.file.repeats)
        asked = [replace(case, parameters={"seed": seed, **case.parameters}) for seed in seeds]
        answers = tuple(self._answer(one) for one in asked)
        scores = {
            metric.label: _over_repeats([self._score(metric, scorer, case, answer) for answer in answers])
            for metric, scorer in self.scorers
        }
        return Result(case, answers, scores)

    def _answer(self, case: Case) -> Answer:
        key = key_of("answer", self.subject_id, case)
        cache = self.cache if self.subject_id else None
        if cache and (kept := cache.get(key, Answer)):
            return kept
        try:
            answer = self.subject(case)
        except UpstreamRefused as error:
            if is_about_the_case(error):
                return Answer("", failure=str(error))
            raise
        except InvalidRequest as error:
            raise InvalidRequest(f"Case '{case.id}': {error.message}", fix=error.fix, param=error.param) from None
        if cache:
            cache.put(key, answer)
        return answer

    def _score(self, metric: MetricSettings, scorer: Scorer, case: Case, answer: Answer) -> Score:
        if answer.failure:
            return Score.unscored(f"no answer: {answer.failure}")
        key = key_of("score", metric.identity, case, answer.text, answer.passages)
        if self.cache and (kept := self.cache.get(key, Score)):
            return kept
        score = scorer(case, answer)
        if self.cache and score.value is not None:  # what could not be scored is tried again
            self.cache.put(key, score)
        return score


def _over_repeats(scores: list[Score]) -> Score:
    """The mean, if every repeat has a score: a mean of the rest would hide failures."""
    values = [score.value for score in scores if score.value is not None]
    if len(values) < len(scores):
        return next(score for score in scores if score.value is None)
    return scores[0] if len(scores) == 1 else Score(fmean(values))
