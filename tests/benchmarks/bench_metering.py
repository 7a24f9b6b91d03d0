"""What metering costs and whether it holds, beside Envoy and a bare pass-through: `make bench-metering`.

Parts, `--only features,soak,proof,replicas`: CPU with each feature switched on by itself; 200,000 requests and an hour of a
production trace; many calls at once against one budget from several processes; two replicas behind vLLM's router. Prints
tables and writes `.sluice/bench/metering.json`; ends with 1 when a figure misses what it must reach.
"""

import argparse
import signal
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import report
from bench_gateway import find_tools
from gateways.launching import TargetError
from gateways.measuring import FAILURES, measure, ratio
from gateways.mocks import constant_mock
from gateways.tables import PLAIN, as_json, measured_table
from gateways.wrk import plain_load
from rich.console import Console
from rich.status import Status

REPOSITORY = Path(__file__).parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "platform")]

from metering import soak  # noqa: E402
from metering.features import TARGETS  # noqa: E402

OUTPUT = Path(".sluice/bench/metering.json")
PARTS = ("features", "soak", "proof", "replicas")


def main() -> int:
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave through the blocks that stop what was started
    console = Console()
    rows: list[report.Row] = []
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name, console.status("starting") as status:
        for part in options.only:
            folder = Path(name, part)
            folder.mkdir()
            found, measured[part] = globals()[f"run_{part}"](options, folder, console, status)
            rows += found
    report.show(console, rows)
    report.write(OUTPUT, rows, measured)
    return 0 if all(row.holds for row in rows) else 1


def run_features(
    options: argparse.Namespace, folder: Path, console: Console, status: Status
) -> tuple[list[report.Row], Any]:
    """CPU of a plain request, feature by feature, in one run."""
    wrk, nginx = find_tools()
    pace = {"rounds": options.rounds, "seconds": options.seconds, "say": status.update}
    plain = measure(constant_mock(nginx, folder), TARGETS, partial(plain_load, wrk, folder), folder=folder, **pace)
    console.print(measured_table("Plain requests, 16 connections", PLAIN, plain.values()))

    def times(name: str) -> float | None:
        return ratio(plain.get(name), plain.get("envoy"), "cpu_ms")

    rows = [
        report.row("CPU per request, all in the process: Sluice ÷ Envoy", times("memory"), "×", "≤", 1.8),
        report.row("CPU per request, all on Redis: Sluice ÷ Envoy", times("redis"), "×", "≤", 2.8),
    ]
    return rows, as_json(plain)


def run_soak(
    options: argparse.Namespace, folder: Path, console: Console, status: Status
) -> tuple[list[report.Row], Any]:
    """Memory, errors and the ledger after much work."""
    wrk, nginx = find_tools()
    status.update("200,000 requests, then an hour of the trace")
    try:
        found = soak.soak(nginx, partial(plain_load, wrk, folder), folder, options.requests)
    except FAILURES as error:
        console.print(f"soak: {error}", style="red", markup=False)
        return soak.rows(None), {"problem": str(error)}
    return soak.rows(found), asdict(found)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default=PARTS, type=lambda text: text.split(","), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=7, help="of each target (7)")
    parser.add_argument("--seconds", type=int, default=4, help="length of a round (4)")
    parser.add_argument("--requests", type=int, default=200_000, help="before the trace (200,000)")
    parser.add_argument("--seeds", type=int, default=20, help="runs of the proof (20)")
    options = parser.parse_args()
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}: expected some of {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TargetError as error:
        sys.exit(f"The mock upstream {error}")
