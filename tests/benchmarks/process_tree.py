"""What a process and all its children have used: processor time and memory (Linux)."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil


def cpu_seconds(pid: int) -> float:
    """User and system time of the living process tree, in seconds, exact to the nanosecond.

    Read from each process's own clock (`clock_getcpuclockid(3)`): the counters in /proc tick only every 10 ms.
    """
    return sum(time.clock_gettime(~member << 3 | 2) for member in _members(pid))


def resident_mib(pid: int) -> float:
    """Memory the tree holds now, in MiB; what its processes share is counted in each."""
    return sum(_status_kib(member, "VmRSS") for member in _members(pid)) / 1024


def peak_resident_mib(pid: int) -> float:
    """The most memory each process of the tree ever held, added up, in MiB."""
    return sum(_status_kib(member, "VmHWM") for member in _members(pid)) / 1024


def _members(pid: int) -> Iterator[int]:
    yield pid
    yield from (child.pid for child in psutil.Process(pid).children(recursive=True))


def _status_kib(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0
