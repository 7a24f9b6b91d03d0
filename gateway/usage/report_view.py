"""Usage for the terminal: a table, and bars for its rows and for each day."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.usage.report import Report, Sums
from sluice.identity.money import show_money

NUMBERS = ("requests", "prompt", "cached", "completion", "charged", "errors")
PLOT_DAYS = 31
PLOT_ROWS = 12
"""Those that were charged most."""
BAR = 40
"""Columns of the longest bar."""


def print_report(found: Report, console: Console) -> None:
    """The table, its sum, a bar for each of its rows, and one for each day."""
    since = f"{found.since:%Y-%m-%d %H:%M} UTC"
    if not found.rows:
        console.print(f"Nothing was used since {since}. --since 30d looks further back.", highlight=False)
        return
    console.print(usage_table(found))
    if found.by != "day" and len(found.rows) > 1:
        most = sorted(found.rows, key=lambda row: -row.charged_tokens)[:PLOT_ROWS]
        console.print(f"\nCharged tokens a {found.by}", highlight=False)
        console.print(usage_plot(most))
    console.print(f"\nCharged tokens a day since {since}", highlight=False)
    console.print(usage_plot(found.days[-PLOT_DAYS:]))


def usage_table(found: Report) -> Table:
    """The rows, and their sum where there are several."""
    keys = found.by == "key"
    money = any(row.cost for row in found.rows)
    table = Table(found.by, *(["of"] if keys else []), box=None, pad_edge=False)
    for name in NUMBERS:
        table.add_column(name, justify="right")
    if money:
        table.add_column("cost", justify="right")
    for row in found.rows:
        texts = [row.name or "(none)", *([row.about] if keys else [])]
        cost = [show_money(row.cost)] if money else []
        table.add_row(*map(Text, texts), *(f"{number:,}" for number in _numbers(row)), *cost)
    if len(found.rows) > 1:
        totals = [sum(column) for column in zip(*map(_numbers, found.rows), strict=True)]
        cost = [show_money(sum(row.cost for row in found.rows))] if money else []
        table.add_row("all", *([""] if keys else []), *(f"{number:,}" for number in totals), *cost, style="bold")
    return table


def usage_plot(sums: list[Sums]) -> Table:
    """A bar of charged tokens for each."""
    most = max(one.charged_tokens for one in sums) or 1
    plot = Table.grid(padding=(0, 1))
    plot.add_column()
    plot.add_column(justify="right")
    for one in sums:
        bar = "█" * round(BAR * one.charged_tokens / most) or "▏"
        plot.add_row(Text(one.name or "(none)"), f"{one.charged_tokens:,}", Text(bar, "blue"))
    return plot


def _numbers(row: Sums) -> tuple[int, ...]:
    return (
        row.requests,
        row.prompt_tokens,
        row.cached_tokens,
        row.completion_tokens,
        row.charged_tokens,
        row.errors,
    )
