"""Sluice's gateway beside its peers, all in one run on one machine: `make bench-gateway`; see docs/benchmarks.md.

Prints tables and writes `.sluice/bench/gateway.json`, and all rounds beside it. Ends with 1 when a figure misses what it must reach, or when
Sluice was to be measured and could not be.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path

import report
from gateways.durability import Kills, Memory, kill_under_load, memory_growth
from gateways.launching import TargetError
from gateways.measuring import FAILURES, Measured, measure, ratio
from gateways.mocks import constant_mock, streaming_mock
from gateways.streams import stream_load
from gateways.tables import PLAIN, STREAMS, as_json, measured_table
from gateways.targets import TARGETS
from gateways.wrk import plain_load
from rich.console import Console

OUTPUT = Path(".sluice/bench/gateway.json")


def main() -> int:
    options = parse_options()
    wrk, nginx = find_tools()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave through the blocks that stop what was started
    console = Console()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name, console.status("starting") as status:
        scratch = Path(name)
        for part in ("plain", "streams", "memory", "kills"):
            (scratch / part).mkdir()
        targets = [target for target in TARGETS if target.name in options.only]
        pace = {"rounds": options.rounds, "seconds": options.seconds, "say": status.update}
        load = partial(plain_load, wrk, scratch)

        plain = measure(constant_mock(nginx, scratch / "plain"), targets, load, folder=scratch / "plain", **pace)
        console.print(measured_table("Plain requests, 16 connections", PLAIN, plain.values()))
        streams = measure(streaming_mock(scratch / "streams"), targets, stream_load, folder=scratch / "streams", **pace)
        console.print(measured_table("Streams, 32 at a time, a chunk every 10 ms", STREAMS, streams.values()))

        memory: Memory | None = None
        kills: Kills | None = None
        if "sluice" in plain and plain["sluice"].valid:
            try:
                status.update(f"Sluice: memory over {options.requests:,} requests")
                memory = memory_growth(nginx, load, scratch / "memory", early=20_000, late=options.requests)
                status.update(f"Sluice: {options.kills} kills under load")
                kills = kill_under_load(scratch / "kills", options.kills)
            except FAILURES as error:
                console.print(f"Sluice alone: {error}", style="red", markup=False)

    rows = [*peer_rows(plain, streams), *sluice_rows(memory, kills)]
    report.show(console, rows)
    alone = {"memory": memory and asdict(memory), "kills": kills and asdict(kills)}
    report.write(OUTPUT, rows, {"plain": as_json(plain), "streams": as_json(streams), **alone})
    console.print(f"All rounds: {OUTPUT}")
    measured = all([plain["sluice"].valid, streams["sluice"].valid, memory, kills]) if "sluice" in plain else True
    return 0 if measured and not any(row.holds is False for row in rows) else 1


def peer_rows(plain: dict[str, Measured], streams: dict[str, Measured]) -> list[report.Row]:
    """What a request and a chunk may cost, in what the same costs a peer in the same run."""

    def cpu(above: str, below: str) -> float | None:
        return ratio(plain.get(above), plain.get(below), "cpu_ms")

    chunk = ratio(streams.get("sluice"), streams.get("envoy"), "cpu_us")
    router = "vllm-router-cache"
    return [
        report.row("CPU per plain request: Sluice ÷ Envoy", cpu("sluice", "envoy"), "×", "≤", 1.3),
        report.row("CPU per plain request: Sluice ÷ vllm-router, cache-aware", cpu("sluice", router), "×", "<", 1),
        report.row("CPU per plain request: LiteLLM ÷ Sluice", cpu("litellm", "sluice"), "×", "≥", 180),
        report.row("CPU per plain request: Portkey ÷ Sluice", cpu("portkey", "sluice"), "×", "≥", 11),
        report.row("CPU per streamed chunk: Sluice ÷ Envoy", chunk, "×", "≤", 1.3),
    ]


def sluice_rows(memory: Memory | None, kills: Kills | None) -> list[report.Row]:
    """What only Sluice is asked."""
    span = f"from {memory.early_requests:,} to {memory.late_requests:,} requests" if memory else ""
    after = f"of {kills.answered:,} answered, {kills.kills} × kill -9" if kills else ""
    growth = memory and memory.growth_percent
    return [
        report.row(f"Memory growth {span}".strip(), growth, "%", "<", 5),
        report.row(f"Usage records missing {after}".strip(), kills and kills.missing, "", "=", 0),
    ]


def parse_options() -> argparse.Namespace:
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(description="Measure the gateway beside its peers.")
    parser.add_argument("--quick", action="store_true", help="two short rounds: shows that all works, proves little")
    parser.add_argument("--only", default=names, type=lambda text: text.split(","), help=f"some of {','.join(names)}")
    parser.add_argument("--seconds", type=int, help="length of a round (4)")
    parser.add_argument("--rounds", type=int, help="rounds of each target (5)")
    options = parser.parse_args()
    if unknown := set(options.only) - set(names):
        parser.error(f"unknown target {', '.join(sorted(unknown))}: expected some of {', '.join(names)}")
    options.seconds = options.seconds or (2 if options.quick else 4)
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.requests = 60_000 if options.quick else 200_000
    options.kills = 1 if options.quick else 3
    return options


def find_tools() -> tuple[str, str]:
    path = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"  # where Debian keeps nginx, off a user's PATH
    wrk, nginx = shutil.which("wrk", path=path), shutil.which("nginx", path=path)
    if not (wrk and nginx):
        sys.exit("wrk and nginx are needed for the load and the mock: apt-get install wrk nginx-light")
    return wrk, nginx


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TargetError as error:
        sys.exit(f"The mock upstream {error}")
