"""Records on local disk until they are in the database, so that a killed process loses none.

A journal is a folder of segments. A process appends to a segment that it alone holds, by a lock that ends with the
process: a segment without a holder was left by one that died. What `append` returned for survives the death of the
process; it is not forced to the disk, so the loss of power may take the last moments.

A segment is a file of a fixed size, all of whose room the disk has granted before it is mapped into memory: a line costs
no system call, which was a twentieth of a request, and cannot meet a full disk. Zeros follow the last line.
"""

import fcntl
import logging
import mmap
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

SUFFIX = ".journal"


class Segment:
    """One file of the journal, held until it is closed.

    Attributes:
        size: bytes of lines in it, a torn last one included.
        settled: bytes of lines whose records are in the database.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = len(os.pread(descriptor, os.fstat(descriptor).st_size, 0).rstrip(b"\0"))
        self.settled = 0
        self._room: mmap.mmap | None = None

    def allocate(self, size: int) -> None:
        """Make room for `size` bytes of lines in a new segment.

        Raises:
            OSError: the disk has none.
        """
        os.posix_fallocate(self.descriptor, 0, size)
        self._room = mmap.mmap(self.descriptor, size)

    def add(self, line: bytes) -> bool:
        """Put a line at the end; False where it does not fit."""
        end = self.size + len(line)
        if self._room is None or end > len(self._room):
            return False
        self._room[self.size : end] = line
        self.size = end
        return True

    def seal(self) -> None:
        """Take no further line."""
        if self._room is not None:
            self._room.close()
            self._room = None

    def read(self, limit: int) -> bytes:
        """Lines not settled yet, about `limit` bytes of them; only the last line of a dead process's can be torn."""
        remaining = self.size - self.settled
        lines = os.pread(self.descriptor, min(limit, remaining), self.settled)
        if len(lines) == remaining:
            return lines
        if end := lines.rfind(b"\n") + 1:
            return lines[:end]
        return os.pread(self.descriptor, remaining, self.settled)

    def remove(self) -> None:
        """Delete the file, all of whose records are in the database."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the file; closing twice does no harm."""
        self.seal()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Journal:
    """The segments of this process, oldest first; one file stays open for each `segment_bytes` not settled yet.

    `append` belongs to one thread, all else to one other.

    Attributes:
        owner: ends the names of this process's segments, and is no other's.
    """

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        self.owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._current: Segment | None = None
        self.segments: list[Segment] = []

    def append(self, line: bytes) -> None:
        """Add a line, given without its end.

        Raises:
            OSError: the disk has no room for another segment; the next line tries again.
        """
        line += b"\n"
        if self._current is None or not self._current.add(line):
            self._rotate(len(line)).add(line)

    def remove_settled(self) -> None:
        """Delete the full segments whose records are all in the database."""
        for segment in [s for s in self.segments if s is not self._current and s.settled == s.size]:
            segment.remove()
            self.segments.remove(segment)

    def orphans(self) -> Iterator[Segment]:
        """Claim, one by one, the segments that dead processes left; no other process gets the same one."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                segment = claim(path, os.O_RDWR)
            except OSError as error:
                log.warning("The usage journal's segment %s cannot be read: %s", path, error)
                continue
            if segment is not None:
                try:
                    yield segment
                finally:
                    segment.close()

    def is_gone(self, owner: str) -> bool:
        """Whether nothing of another process is left here: all its records are in the database."""
        return not any(self._folder.glob(f"*-{owner}{SUFFIX}"))

    def close(self) -> None:
        """Delete what is settled, and leave the rest to whoever recovers it."""
        self._current = None
        self.remove_settled()
        for segment in self.segments:
            segment.close()
        self.segments.clear()

    def _rotate(self, least: int) -> Segment:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        segment = None
        while segment is None:  # another process may look for orphans before the new file is locked, and claim it
            path = self._folder / f"{time.time_ns()}-{self.owner}{SUFFIX}"
            segment = claim(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            segment.allocate(max(least, self._segment_bytes))
        except OSError:
            segment.remove()
            raise
        if self._current is not None:
            self._current.seal()
        self._current = segment  # first of the two: a segment in the list that is not the current one counts as full
        self.segments.append(segment)
        return segment


def claim(path: Path, flags: int) -> Segment | None:
    """Open and lock a segment; None where another process holds it, or had it and has removed it."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return Segment(path, descriptor)
        os.close(descriptor)
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise
    return None
