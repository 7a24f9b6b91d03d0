"""All seven demos on a platform that was just brought up, twice: time, peak memory, and what the second run doubled."""

import argparse
import sys
import time
from pathlib import Path

import report
from journeys.memory import PeakMemory
from journeys.platform import DEMOS, fresh_platform, made
from rich.console import Console

OUTPUT = Path(".sluice/bench/demos.json")


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    console = Console()
    with fresh_platform() as platform, PeakMemory(platform.processes) as memory:
        seconds: dict[str, list[float]] = {name: [] for name in DEMOS}
        states: list[dict[str, object]] = []
        for _ in range(2):
            for name in DEMOS:
                console.print(f"sluice demo {name}")
                began = time.monotonic()
                platform.sluice("demo", name, timeout=900)
                seconds[name].append(time.monotonic() - began)
            states.append(made(platform))
    doubled = {name: (states[0][name], states[1][name]) for name in states[0] if states[0][name] != states[1][name]}
    first, second = (sum(taken[run] for taken in seconds.values()) for run in range(2))
    rows = [
        report.row("all seven demos", first / 60, "min", "<", 12),
        report.row("the second run", second / 60, "min", "<", 4),
        report.row("peak memory of the platform and the demos", memory.gib, "GB", "<", 12),
        report.row("kinds of things that the second run changed", len(doubled), "", "=", 0),
    ]
    for name, (one, two) in seconds.items():
        console.print(f"{name:10} {one:7.1f} s {two:7.1f} s")
    if doubled:
        console.print(f"changed: {doubled}")
    report.show(console, rows)
    report.write(OUTPUT, rows, {"seconds": seconds, "made": states})
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
