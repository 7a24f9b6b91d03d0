"""How long `sluice --help` takes, the median of several runs, in processes of their own."""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import report
from rich.console import Console

OUTPUT = Path(".sluice/bench/help.json")
RUNS = 11


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    command = [str(Path(sys.executable).with_name("sluice")), "--help"]
    seconds: list[float] = []
    for _ in range(RUNS):
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.monotonic() - began)
    rows = [report.row("sluice --help, median", statistics.median(seconds), "s", "<", 0.3)]
    report.show(Console(), rows)
    report.write(OUTPUT, rows, {"seconds": seconds})
    return 0 if rows[0].holds else 1


if __name__ == "__main__":
    sys.exit(main())
