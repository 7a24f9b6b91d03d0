"""What each of the gateway's policies costs, switched on by itself, beside Envoy and the gateway with all of them off."""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import report
from bench_gateway import find_tools
from gateways.measuring import Measured, measure, median, ratio
from gateways.mocks import constant_mock, streaming_mock
from gateways.policies import TARGETS
from gateways.streams import stream_load
from gateways.tables import Columns, as_json, measured_table
from gateways.wrk import plain_load
from rich.console import Console

OUTPUT = Path(".sluice/bench/policies.json")
PLAIN: Columns = {
    "requests/s": ("requests_per_second", "{:,.0f}"),
    "p99 ms": ("p99_ms", "{:,.2f}"),
    "CPU ms/request": ("cpu_ms", "{:,.3f}"),
}
STREAMS: Columns = {"streams": ("streams", "{:,.0f}"), "CPU µs/chunk": ("cpu_us", "{:,.1f}")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each target (5)")
    parser.add_argument("--seconds", type=int, default=4, help="length of a round (4)")
    options = parser.parse_args()
    wrk, nginx = find_tools()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name, console.status("starting") as status:
        plain_folder, stream_folder = Path(name, "plain"), Path(name, "streams")
        plain_folder.mkdir()
        stream_folder.mkdir()
        pace = {"rounds": options.rounds, "seconds": options.seconds, "say": status.update}
        load = partial(plain_load, wrk, plain_folder)
        plain = measure(constant_mock(nginx, plain_folder), TARGETS, load, folder=plain_folder, **pace)
        console.print(measured_table("Plain requests, 16 connections", PLAIN, plain.values()))
        streams = measure(streaming_mock(stream_folder), TARGETS, stream_load, folder=stream_folder, **pace)
        console.print(measured_table("Streams of words, 32 at a time, one every 10 ms", STREAMS, streams.values()))
    rows = [*bars(plain, "request", "cpu_ms"), *bars(streams, "chunk", "cpu_us")]
    rows += [*costs(plain, "request", "cpu_ms", 1000), *costs(streams, "chunk", "cpu_us", 1)]
    report.show(console, rows)
    report.write(OUTPUT, rows, {"plain": as_json(plain), "streams": as_json(streams)})
    return 0 if all(row.holds is True or (row.must == "" and row.figure is not None) for row in rows) else 1


def bars(measured: dict[str, Measured], what: str, figure: str) -> list[report.Row]:
    """With every policy off the gateway is as cheap as it was before there were any."""
    times = ratio(measured["off"], measured["envoy"], figure)
    return [report.row(f"CPU per {what}, all policies off: Sluice ÷ Envoy", times, "×", "≤", 1.3)]


def costs(measured: dict[str, Measured], what: str, figure: str, microseconds: float) -> list[report.Row]:
    """What each policy adds."""
    off = median(measured["off"], figure)
    rows: list[report.Row] = []
    for target in TARGETS[2:]:
        on = median(measured[target.name], figure)
        added = None if on is None or off is None else (on - off) * microseconds
        rows.append(report.Row(f"CPU added to a {what}: {target.title}", added, "µs", "", None))
    return rows


if __name__ == "__main__":
    sys.exit(main())
