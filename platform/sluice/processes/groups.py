"""Process groups: who belongs to one, and ending all of it.

A process id is given out again, so a recorded one is only believed together with the time its process was created.
A group's id is not given out again while any member lives.
"""

import contextlib
import os
import signal
from collections.abc import Iterable

import psutil

Member = tuple[int, float]
"""A process id and its creation time, seconds since the epoch."""

_CLOCK_SLACK_SECONDS = 1.0  # the system's clock may have been set since


def members(groups: Iterable[int]) -> dict[int, list[Member]]:
    """The living processes of each of `groups`."""
    found: dict[int, list[Member]] = {group: [] for group in groups}
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, psutil.Error):
            group = os.getpgid(pid)
            if group in found:
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found[group].append((pid, process.create_time()))
    return found


def memory_bytes(group: int) -> int:
    """Resident memory of a whole group; pages that its processes share count more than once."""
    total = 0
    for pid, _ in members([group])[group]:
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(pid).memory_info().rss
    return total


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to every member, if there is any."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def living(recorded: dict[int, list[Member]]) -> list[int]:
    """The groups of which at least one recorded member still lives, and which therefore are still what they were."""
    return [group for group, known in recorded.items() if any(_lives(member, group) for member in known)]


def end_leftovers(recorded: dict[int, list[Member]], patience_seconds: float = 5) -> list[int]:
    """End all of the groups that are `living`, first politely; returns them."""
    ours = living(recorded)
    for group in ours:
        kill_group(group, signal.SIGTERM)
    waiting: list[psutil.Process] = []
    for pid, _ in (member for group in members(ours).values() for member in group):
        with contextlib.suppress(psutil.Error):
            waiting.append(psutil.Process(pid))
    psutil.wait_procs(waiting, timeout=patience_seconds)
    for group in ours:
        kill_group(group)
    return ours


def _lives(member: Member, group: int) -> bool:
    pid, created = member
    try:
        return abs(psutil.Process(pid).create_time() - created) < _CLOCK_SLACK_SECONDS and os.getpgid(pid) == group
    except (psutil.Error, ProcessLookupError):
        return False
