"""The pull request's comment: the verdict first, then what it rests on, then how to see it again."""

from evals.compare import Comparison, MetricComparison
from evals.pull_request import Evaluated, PullRequest
from evals.reports import words

MARK = "<!-- sluice eval -->"
"""By it CI finds its earlier comment and replaces it."""
REGRESSIONS = 5


def comment(request: PullRequest) -> str:
    """The comment as GitHub-flavoured Markdown."""
    lines = [MARK, f"## {words.HEADLINES[request.verdict]}", ""]
    if not request.evaluated:
        lines.append(f"No prompt differs between `{request.base[:12]}` and `{request.head[:12]}`: nothing was run.")
    for one in request.evaluated:
        lines += _evaluated(one)
    if request.command:
        lines += ["", "<details><summary>How to see it again</summary>", "", "```bash", request.command, "```", ""]
        lines += [f"Base is `{request.base}`, head `{request.head}`.", "", "</details>"]
    return "\n".join(lines) + "\n"


def _evaluated(one: Evaluated) -> list[str]:
    lines = [f"### Prompt `{_code(one.change.name)}`: {one.verdict}", ""]
    if one.note:
        lines += [f"**Note**: {_cell(one.note)}.", ""]
    for comparison in one.comparisons:
        lines += _comparison(comparison)
    return lines


def _comparison(comparison: Comparison) -> list[str]:
    """A suite's table, plots, notes and worst cases."""
    lines = [
        f"Suite `{comparison.suite}`, {comparison.cases} cases, data `{comparison.data_hash[:12]}`",
        "",
        "| metric | base | head | difference | interval | limit | verdict |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for metric in comparison.metrics:
        cells = [metric.label, words.share(metric.base_mean), words.share(metric.head_mean)]
        cells += [words.difference(metric), words.interval(metric), words.limit(metric), words.verdict(metric)]
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    lines.append("")
    if plots := [_plot(metric) for metric in comparison.metrics if metric.base_mean is not None]:
        lines += ["```text", *plots, "```", ""]
    for metric in comparison.metrics:
        lines += _remarks(metric)
    return lines


def _plot(metric: MetricComparison) -> str:
    assert metric.interval is not None
    return f"{_code(metric.label):<20.20} {words.plot(metric.interval, metric.limit or 0.0)}  │ no difference  ┊ margin"


def _remarks(metric: MetricComparison) -> list[str]:
    failures, dropped = metric.unscored
    remarks = [metric.note] if metric.note else []
    if failures:
        remarks.append(f"{failures} cases that only head could not score count as 0")
    if dropped:
        reason = next(_reason(pair.base or pair.head) for pair in metric.pairs if not pair.counts)
        remarks.append(f"{dropped} cases could not be scored and count for nothing ({reason})")
    lines = [f"- **{_cell(metric.label)}**: {_cell('; '.join(remarks))}."] if remarks else []
    for pair in words.regressions(metric, REGRESSIONS):
        assert pair.base is not None
        after = words.share(pair.head.value) if pair.head.value is not None else "not scored"
        why = f" ({_cell(pair.head.reason)})" if pair.head.reason else ""
        lines.append(
            f"- {_cell(metric.label)}, case `{_code(pair.case_id)}`: {words.share(pair.base.value)} → {after}{why}"
        )
    return [*lines, ""] if lines else []


def _reason(score: object) -> str:
    return str(getattr(score, "reason", "")) or "no reason given"


def _code(text: str) -> str:
    """Text between backticks or in a block of code, where nothing but a backtick and a new line is markup."""
    return _flat(text).replace("`", "ˋ")


def _flat(text: str) -> str:
    """On one line, and what UTF-8 can hold: a file's name may be anything."""
    return " ".join(text.encode("utf-8", "replace").decode().split())[:300]


def _cell(text: str) -> str:
    """Text that stays in its line and its cell, and is no markup: judges and models may have written it."""
    flat = _flat(text)
    for mark in "\\`*_[]<>|~#@":
        flat = flat.replace(mark, f"&#{ord(mark)};" if mark in "<>|@`" else f"\\{mark}")
    return flat
