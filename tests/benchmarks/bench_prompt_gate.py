"""The prompt gate on edits that harm and edits that do not: `.venv/bin/python tests/benchmarks/bench_prompt_gate.py`.

20 pull requests of each kind in a real Git repository, judged as `sluice eval pr` does it, with a scripted model that
answers every case anew: right with a probability of 0.85 for base and the harmless edit, 0.60 for the harmful one. Then
how often each verdict comes in 400 suites of several sizes. Prints tables, writes `.sluice/bench/prompt_gate.json`,
and ends with 1 when a figure misses what it must reach.
"""

import argparse
import hashlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import report
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from evals.case import Answer, Case  # noqa: E402, the repository's root first
from evals.git_refs import Repository  # noqa: E402
from evals.pull_request import Make, evaluate  # noqa: E402
from evals.run import Conditions  # noqa: E402
from evals.statistics import judge_difference, paired_interval  # noqa: E402
from sluice.promotion import Verdict  # noqa: E402
from tests.evals.repository import GOOD, PROMPT, with_capital_suite  # noqa: E402

OUTPUT = Path(".sluice/bench/prompt_gate.json")
SEEDS = 20
CASES = 100
MARGIN = 0.05
BASE, HARMFUL = 0.85, 0.60
EDITS = {"harmful": GOOD.replace(" The city's name only.", ""), "harmless": GOOD.replace("Name", "Please name")}
SIZES = (12, 20, 40, 60, 80, 100, 150, 200, 400, 800)

Scores = np.ndarray[tuple[int], np.dtype[np.float64]]
Pairs = Callable[[np.random.Generator, int], tuple[Scores, Scores]]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--suites", type=int, default=400, help="simulated suites of each size and kind")
    suites = options.parse_args().suites
    console = Console()
    judged = {edit: pull_requests(edit, console) for edit in EDITS}
    rows = [
        report.row(f"harmful edit: fail, of {SEEDS}", judged["harmful"][Verdict.FAIL], "", "≥", 19),
        report.row(f"harmless edit: fail, of {SEEDS}", judged["harmless"][Verdict.FAIL], "", "≤", 1),
    ]
    characteristics = {name: {n: verdicts(pairs, n, suites) for n in SIZES} for name, pairs in KINDS.items()}
    console.print(table(characteristics, suites))
    for edit, found in judged.items():
        counts = ", ".join(f"{count} {verdict}" for verdict, count in found.items())
        console.print(f"{SEEDS} pull requests of {CASES} cases, {edit} edit: {counts}")
    report.show(console, rows)
    report.write(OUTPUT, rows, {"pull_requests": judged, "characteristics": characteristics})
    return 0 if all(row.holds for row in rows) else 1


def pull_requests(edit: str, console: Console) -> Counter[Verdict]:
    """The verdicts on one edit by so many scripted models."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        made = with_capital_suite(Path(folder), CASES)
        made.git("checkout", "--quiet", "-b", "edit")
        made.write(PROMPT, EDITS[edit])
        made.commit(edit)
        repository = Repository(Path(folder))
        return Counter(
            evaluate(repository, "main", "edit", scripted(seed), lambda suite, subject: Conditions()).verdict
            for seed in track(range(SEEDS), edit, console=console, transient=True)
        )


def scripted(seed: int) -> Make:
    """A model that is right as often as the prompt's wording makes it, each answer by chance of its own."""

    def make(name: str, content: bytes) -> Callable[[Case], Answer]:
        right = HARMFUL if content.decode() == EDITS["harmful"] else BASE

        def answer(case: Case) -> Answer:
            digest = hashlib.sha256(f"{seed} {case.id} ".encode() + content).digest()
            lucky = np.random.default_rng(list(digest)).random() < right
            return Answer(str(case.expected) if lucky else "I do not know")

        return answer

    return make


def anew(after: float) -> Pairs:
    """Every answer is drawn anew: as with a high temperature, the least favourable to a paired comparison."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Scores, Scores]:
        return (rng.random(n) < BASE).astype(float), (rng.random(n) < after).astype(float)

    return draw


def greedy(broken: float, redrawn: float) -> Pairs:
    """Most answers stay as they are, as at temperature 0: some right ones break, some others are drawn anew."""

    def draw(rng: np.random.Generator, n: int) -> tuple[Scores, Scores]:
        base = rng.random(n) < BASE
        head = np.where(rng.random(n) < redrawn, rng.random(n) < BASE, base) & (rng.random(n) >= broken)
        return base.astype(float), head.astype(float)

    return draw


KINDS = {
    "harmful, 0.85 → 0.60, anew": anew(HARMFUL),
    "harmful, 0.85 → 0.60, greedy": greedy(1 - HARMFUL / BASE, 0.1),
    "harmful, 0.85 → 0.75, greedy": greedy(1 - 0.75 / BASE, 0.1),
    "harmful by the margin, anew": anew(BASE - MARGIN),
    "harmless, anew": anew(BASE),
    "harmless, greedy, 10 % drawn anew": greedy(0, 0.1),
    "harmless, every answer the same": greedy(0, 0),
}


def verdicts(pairs: Pairs, n: int, suites: int) -> dict[Verdict, float]:
    """The share of each verdict among so many suites of n cases."""
    found: Counter[Verdict] = Counter()
    for seed in range(suites):
        base, head = pairs(np.random.default_rng([seed, n]), n)
        found[judge_difference(paired_interval(base, head), MARGIN)] += 1  # pyright: ignore[reportArgumentType]
    return {verdict: found[verdict] / suites for verdict in Verdict}


def table(characteristics: dict[str, dict[int, dict[Verdict, float]]], suites: int) -> Table:
    title = f"Fail / inconclusive / pass, % of {suites} suites, margin {MARGIN}, confidence 0.95"
    made = Table(title=title, title_justify="left")
    made.add_column("edit")
    for n in SIZES:
        made.add_column(f"{n} cases", justify="right")
    for name, by_size in characteristics.items():
        cells = [
            " / ".join(f"{100 * shares[one]:.0f}" for one in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS))
            for shares in by_size.values()
        ]
        made.add_row(name, *cells)
    return made


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
