"""Leases of calls under way, on local disk: what a killed process had begun and can no longer record.

Each process has one file, as of the usage journal, and appends a line before it calls an upstream. A call that ends has its
usage record and needs no line: of a process that died, the leases without a record are those that it was killed over.
"""

import logging
import os
import time
from pathlib import Path

import msgspec

from gateway.metrics import Gauge
from gateway.usage.journal import SUFFIX, Segment, claim

log = logging.getLogger(__name__)

SEGMENT_BYTES = 256 * 1024
"""Some 1,500 calls; then those that are still open move to another file."""


class OpenLease(msgspec.Struct, frozen=True, array_like=True):
    """One line: a call that may have been made.

    Attributes:
        tokens, money: the most that it costs. A line with a request id alone is of a call that had not been made yet.
        at: when it was leased, in seconds since 1970.
        attempt: the id of the lease that it holds since earlier attempts failed; `failed_tokens` and `failed_money`,
            which are part of the whole, were booked for those.
    """

    request_id: str
    key_id: str = ""
    route: str = ""
    endpoint: str = ""
    tokens: int = 0
    money: int = 0
    at: float = 0.0
    attempt: str = ""
    failed_tokens: int = 0
    failed_money: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(OpenLease).decode


class LeaseJournal:
    """The open leases of this process. Belongs to the event loop, but for `orphans`.

    Args:
        owner: of this process's usage journal; a lease is looked at when that has nothing left in it.

    Attributes:
        failures: leases that went without the journal's protection.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self.failures = 0
        self._folder = folder
        self._owner = owner
        self._segment: Segment | None = None
        self._open: dict[str, bytes] = {}

    def gauges(self) -> list[Gauge]:
        """What an operator watches."""
        return [
            (
                "sluice_lease_journal_failures",
                "Calls without the protection of the journal of leases.",
                lambda: self.failures,
            )
        ]

    def intend(self, request_id: str) -> None:
        """Note a call whose lease is elsewhere, and which costs nothing, or what its usage record says."""
        self._open[request_id] = line = b'["%b"]\n' % request_id.encode()
        self._append(line)

    def add(self, lease: OpenLease) -> None:
        """Note a call that is about to be made. Never fails the call."""
        self._open[lease.request_id] = line = _encode(lease) + b"\n"
        self._append(line)

    def forget(self, request_id: str) -> None:
        """It has ended, and its usage record is written before anybody is told."""
        self._open.pop(request_id, None)

    def close(self) -> None:
        """Delete the file, unless something in it is still to be settled."""
        if self._segment is not None:
            if self._open:
                self._segment.close()
            else:
                self._segment.remove()
            self._segment = None

    def orphans(self) -> list[tuple[str, Segment]]:
        """Claim what dead processes left, each with its owner; whoever asks closes them."""
        claimed: list[tuple[str, Segment]] = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                segment = claim(path, os.O_RDWR)
            except OSError as error:
                log.warning("The leases in %s cannot be read: %s", path, error)
                continue
            if segment is not None:
                claimed.append((path.stem.partition("-")[2], segment))
        return claimed

    def _append(self, line: bytes) -> None:
        if self._segment is not None and self._segment.add(line):
            return
        try:
            self._rotate()
        except OSError as error:
            if not self.failures:
                log.error("The journal of leases cannot be written, a kill would lose calls under way: %s", error)
            self.failures += 1

    def _rotate(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        segment = None
        while segment is None:
            path = self._folder / f"{time.time_ns()}-{self._owner}{SUFFIX}"
            segment = claim(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        lines = b"".join(self._open.values())  # the new one among them
        try:
            segment.allocate(max(SEGMENT_BYTES, 2 * len(lines)))
        except OSError:
            segment.remove()
            raise
        segment.add(lines)
        old, self._segment = self._segment, segment
        if old is not None:
            old.remove()


def read_leases(segment: Segment) -> dict[str, OpenLease]:
    """The leases of a file by their request; a torn last line is of a call that was not made."""
    leases: dict[str, OpenLease] = {}
    for line in segment.read(segment.size).splitlines():
        try:
            lease = _decode(line)
        except (msgspec.MsgspecError, ValueError):
            continue
        leases[lease.request_id] = lease
    return leases
