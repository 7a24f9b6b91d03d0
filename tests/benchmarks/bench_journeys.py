"""What the journeys must reach, in one table: `make bench-journeys`; see docs/benchmarks.md.

Each part writes a file of its own in `.sluice/bench/`; this runs them one after the other and gathers their rows in
`.sluice/bench/journeys.json`. Ends with 1 when a figure misses what it must reach.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import report
from rich.console import Console

HERE = Path(__file__).parent
OUTPUT = Path(".sluice/bench/journeys.json")
PARTS = {
    "ask": "bench_ask.py",
    "churn": "bench_churn.py",
    "prompt_gate": "bench_prompt_gate.py",
    "guard": "bench_guard.py",
    "budget": "bench_budget.py",
    "policies": "bench_policies.py",
    "help": "bench_help.py",
    "demos": "bench_demos.py",
    "kills": "bench_kills.py",
}
"""By the name of the file each writes; the last two bring the platform up themselves."""


def main() -> int:
    options = parse_options()
    console = Console()
    rows: list[report.Row] = []
    broken: list[str] = []
    for part in options.only:
        console.rule(part)
        output = OUTPUT.with_name(f"{part}.json")
        output.unlink(missing_ok=True)
        ended = subprocess.run([sys.executable, HERE / PARTS[part]]).returncode
        if output.exists():
            rows += [report.Row(**row) for row in json.loads(output.read_text())]
        else:
            broken.append(f"{part} (exit code {ended})")
    report.show(console, rows)
    report.write(OUTPUT, rows, {"parts": options.only, "broken": broken})
    if broken:
        console.print(f"Not measured: {', '.join(broken)}", style="red")
    return 1 if broken or any(row.holds is False for row in rows) else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what the journeys must reach.")
    parser.add_argument(
        "--only", default=list(PARTS), type=lambda text: text.split(","), help=f"some of {','.join(PARTS)}"
    )
    options = parser.parse_args()
    if unknown := set(options.only) - PARTS.keys():
        parser.error(f"unknown part {', '.join(sorted(unknown))}: expected some of {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
