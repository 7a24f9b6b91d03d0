"""A comparison as a person sees it in a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evals.compare import Comparison
from evals.pull_request import PullRequest
from evals.reports import words
from sluice.promotion import Verdict

STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.INCONCLUSIVE: "yellow"}


def show_pull_request(console: Console, request: PullRequest) -> None:
    """Every changed prompt, then the verdict."""
    if not request.evaluated:
        console.print(f"No prompt differs between {request.base[:12]} and {request.head[:12]}: nothing was run.")
    for one in request.evaluated:
        console.print(Text(f"Prompt {one.change.name}", "bold").append(f": {one.change.path}", "default"))
        if one.note:
            console.print(f"Note: {one.note}.", markup=False)
        for comparison in one.comparisons:
            show_comparison(console, comparison)
    console.print("Verdict:", Text(str(request.verdict), STYLES[request.verdict]))


def show_comparison(console: Console, comparison: Comparison) -> None:
    """The table of its metrics, below it a plot of each difference, and the notes."""
    title = f"Suite {comparison.suite}, {comparison.cases} cases"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("metric", "base", "head", "difference", "interval", "limit", "verdict"):
        table.add_column(name, no_wrap=True)
    for metric in comparison.metrics:
        style = STYLES[metric.verdict] if metric.gates else "dim"
        table.add_row(
            Text(metric.label),
            words.share(metric.base_mean),
            words.share(metric.head_mean),
            words.difference(metric),
            Text(words.interval(metric)),
            words.limit(metric),
            Text(words.verdict(metric), style),
        )
    console.print(table)
    for metric in comparison.metrics:
        if metric.base_mean is not None and metric.interval is not None:
            plot = words.plot(metric.interval, metric.limit or 0.0)
            console.print(Text(f"{metric.label:<14.14} {plot} │ none ┊ margin"))
    for metric in comparison.metrics:
        failures, dropped = metric.unscored
        if failures or dropped:
            told = f"{metric.label}: {failures} cases only head could not score, {dropped} count for nothing."
            console.print(told, markup=False)
        if metric.note:
            console.print(f"{metric.label}: {metric.note}.", markup=False)
        for pair in words.regressions(metric, 5):
            line = f"  {pair.case_id}: {words.share(pair.base and pair.base.value)} → {words.share(pair.head.value)}"
            console.print(f"{line}  {pair.head.reason}".rstrip(), markup=False, highlight=False)
