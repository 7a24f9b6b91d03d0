"""Base against head on the same cases: for each metric a difference, its interval and a verdict."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from evals.calibration import Agreement
from evals.case import Score
from evals.metrics import JudgeSettings, MetricSettings
from evals.run import Run
from evals.statistics import Interval, cases_needed, judge_difference, judge_mean, mean_interval, paired_interval
from evals.suite import Suite
from sluice.errors import InvalidRequest
from sluice.promotion import Verdict


@dataclass(frozen=True)
class Pair:
    """One case's scores by one metric; `base` is None where there is nothing to compare with."""

    case_id: str
    base: Score | None
    head: Score

    @property
    def difference(self) -> float | None:
        """Head - base. A case that only head cannot score is head's failure and counts as 0; one that base cannot
        score tells nothing about head, and counts as nothing in its favour either."""
        if self.base is None or self.base.value is None:
            return None
        return (self.head.value or 0.0) - self.base.value

    @property
    def counts(self) -> bool:
        """Whether it says something about head."""
        return (self.head if self.base is None else self.base).value is not None


@dataclass(frozen=True)
class MetricComparison:
    """What one metric says.

    Attributes:
        gates: whether it takes part in the verdict.
        interval: of head - base, or of head's mean where there is no base; None without a single case that counts.
        limit: the margin, or the minimum where there is no base.
        note: what a person should know about it; one sentence, or empty.
    """

    label: str
    gates: bool
    verdict: Verdict
    base_mean: float | None
    head_mean: float | None
    interval: Interval | None
    limit: float | None
    pairs: tuple[Pair, ...]
    note: str = ""

    @property
    def unscored(self) -> tuple[int, int]:
        """Cases that only head could not score (they count as 0), and cases that count for nothing."""
        counted = [pair for pair in self.pairs if pair.counts]
        return sum(pair.head.value is None for pair in counted), len(self.pairs) - len(counted)


@dataclass(frozen=True)
class Comparison:
    """A suite's verdict on head.

    Attributes:
        verdict: fail if any metric that gates fails; pass only if all do, and there is one.
        base: the incumbent's id; None where there was none.
    """

    suite: str
    verdict: Verdict
    data_hash: str
    base: str | None
    head: str
    cases: int
    metrics: tuple[MetricComparison, ...]

    def as_report(self) -> dict[str, Any]:
        """What a gate keeps of it, as JSON; the same comparison gives the same report."""
        return {
            "suite": self.suite,
            "verdict": str(self.verdict),
            "base": self.base,
            "head": self.head,
            "cases": self.cases,
            "data_hash": self.data_hash,
            "metrics": [_row(metric) for metric in self.metrics],
        }


def compare(base: Run | None, head: Run, suite: Suite) -> Comparison:
    """Compare two runs of one suite, or, without a base, hold one against the metrics' minimums.

    Raises:
        InvalidRequest: the runs are not of this suite's cases.
    """
    for run in (base, head):
        if run is not None and run.data_hash != suite.data_hash:
            raise InvalidRequest(
                f"The run of '{run.subject_id}' is not of the cases that suite '{suite.name}' has now."
            )
    metrics = tuple(_compare(metric, _pairs(base, head, metric.label), suite) for metric in suite.metrics)
    base_id = None if base is None else base.subject_id
    verdict = worst([metric.verdict for metric in metrics if metric.gates])
    return Comparison(suite.name, verdict, suite.data_hash, base_id, head.subject_id, len(suite.cases), metrics)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Fail if there is one, pass if there is nothing else; inconclusive also where there is no verdict at all."""
    found = set(verdicts)
    if Verdict.FAIL in found:
        return Verdict.FAIL
    return Verdict.PASS if found == {Verdict.PASS} else Verdict.INCONCLUSIVE


def _pairs(base: Run | None, head: Run, label: str) -> tuple[Pair, ...]:
    before = {} if base is None else {result.case.id: result.scores[label] for result in base.results}
    return tuple(Pair(one.case.id, before.get(one.case.id), one.scores[label]) for one in head.results)


def _compare(metric: MetricSettings, pairs: tuple[Pair, ...], suite: Suite) -> MetricComparison:
    file = suite.file
    counted = [pair for pair in pairs if pair.counts]
    after = [pair.head.value or 0.0 for pair in counted]
    before = [pair.base.value for pair in counted if pair.base is not None and pair.base.value is not None]
    interval: Interval | None = None
    if not counted:
        verdict, note = Verdict.INCONCLUSIVE, "no case could be scored"
    elif before:
        interval = paired_interval(before, after, file.confidence, file.seed)
        verdict = judge_difference(interval, metric.margin)
        note = _explain(verdict, interval, metric, [new - old for new, old in zip(after, before, strict=True)])
    else:
        interval = mean_interval(after, (0, 1), file.confidence, file.seed)
        verdict = Verdict.INCONCLUSIVE if metric.minimum is None else judge_mean(interval, metric.minimum)
        note = "nothing to compare with, and no minimum" if metric.minimum is None else ""
    missing = len(pairs) - len(counted)
    if verdict == Verdict.PASS and missing > file.unscored * len(pairs):
        verdict, note = Verdict.INCONCLUSIVE, f"{missing} of {len(pairs)} cases could not be scored"
    barred = _barred(metric, suite.agreements.get(metric.label))
    return MetricComparison(
        label=metric.label,
        gates=metric.gate and not barred,
        verdict=verdict,
        base_mean=fmean(before) if before else None,
        head_mean=fmean(after) if after else None,
        interval=interval,
        limit=metric.margin if any(pair.base is not None for pair in pairs) else metric.minimum,
        pairs=pairs,
        note="; ".join(part for part in (barred if metric.gate else "", note) if part),
    )


def _explain(verdict: Verdict, interval: Interval, metric: MetricSettings, differences: list[float]) -> str:
    if verdict == Verdict.PASS:
        return "worse for certain, but by less than the margin" if interval.high < 0 else ""
    if verdict == Verdict.FAIL:
        return ""
    needed = cases_needed(differences, metric.margin, interval.confidence)
    if needed is None or needed <= interval.n:
        return "the interval holds both no harm and harm beyond the margin"
    return f"{interval.n} cases are too few to tell: a harmless change would need about {needed}"


def _barred(metric: MetricSettings, agreement: Agreement | None) -> str:
    """Why a judge may not gate; empty where it may, and for metrics without a judge."""
    if not isinstance(metric, JudgeSettings):
        return ""
    if agreement is None:
        return "may not gate: the judge's agreement with people was not measured"
    if agreement.low < metric.agreement:
        measured = f"{agreement.kappa:.2f} (from {agreement.low:.2f} to {agreement.high:.2f})"
        return f"may not gate: the judge's agreement with people is {measured}, expected {metric.agreement:.2f} for certain"
    return ""


def _row(metric: MetricComparison) -> dict[str, Any]:
    interval = metric.interval
    return {
        "metric": metric.label,
        "gates": metric.gates,
        "verdict": str(metric.verdict),
        "base": _rounded(metric.base_mean),
        "head": _rounded(metric.head_mean),
        "estimate": interval and _rounded(interval.estimate),
        "interval": interval and [_rounded(interval.low), _rounded(interval.high)],
        "confidence": interval and interval.confidence,
        "cases": interval.n if interval else 0,
        "limit": metric.limit,
        "head_failures": metric.unscored[0],
        "not_counted": metric.unscored[1],
        "note": metric.note,
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 6)
