"""Writing usage records behind the requests: into the journal at once, into the database in batches."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError

from gateway.metrics import Gauge
from gateway.usage.journal import Journal, Segment
from gateway.usage.record import UsageRecord, decode, encode, insert
from sluice.settings import UsageSettings

log = logging.getLogger(__name__)

BATCH_BYTES = 512 * 1024
"""Journal bytes written in one transaction, about 3,500 records: some 20 ms of SQLite's one write lock."""
LONGEST_DELAY = 5.0
"""Seconds between two attempts while the database is lost."""
HELD_RECORDS = 10_000
"""Records held in memory while neither journal nor database takes them; what goes beyond is lost, and counted."""


class UsageWriter:
    """The usage records of one process. `record` belongs to the event loop that called `start`.

    The journal is the queue: each flush reads from it what is not in the database yet. So memory stays bounded however
    long the database is lost, and recovery after a kill is the same work as every flush.

    Attributes:
        written: records in the database, those recovered included.
        torn: lines of dead processes' journals that were cut short; no client was answered for them.
        journal_failures: records that went without the journal's protection.
        lost: records that neither journal nor database would take, or that the database refused as wrong.
    """

    def __init__(self, engine: Engine, journal: Journal, settings: UsageSettings) -> None:
        self._engine = engine
        self._journal = journal
        self._settings = settings
        self.written = self.torn = self.journal_failures = self.lost = 0
        self._recorded = 0
        self._settled = 0
        self._unjournalled: list[bytes] = []
        self._recovered = False
        self._failing = False
        self._stopping = asyncio.Event()
        self._flushing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="usage")

    @property
    def pending(self) -> int:
        """Records taken but not in the database yet."""
        return self._recorded - self._settled

    def gauges(self) -> list[Gauge]:
        """What an operator watches."""
        return [
            ("sluice_usage_pending", "Usage records not yet in the database.", lambda: self.pending),
            ("sluice_usage_lost", "Usage records that nothing would take.", lambda: self.lost),
            (
                "sluice_journal_failures",
                "Usage records without the journal's protection.",
                lambda: self.journal_failures,
            ),
        ]

    def record(self, record: UsageRecord) -> None:
        """Take a record; once this returns, a killed process does not lose it. Never fails the request it is about."""
        try:
            line = encode(record)
        except (ValueError, OverflowError) as error:  # text that is no Unicode, a number beyond 64 bits
            self.lost += 1
            log.error("A usage record cannot be written and is left out: %s: %r", error, record)
            return
        self._recorded += 1
        try:
            self._journal.append(line)
        except OSError as error:
            self._hold(line, error)

    async def start(self) -> None:
        """Recover what dead processes left, then write on in the background. A lost database does not fail this."""
        await self.flush()
        self._flushing = asyncio.create_task(self._run())

    async def recover(self) -> bool:
        """Write what processes left that died since; False where the database did not take it."""
        self._recovered = False
        return await self.flush()

    async def stop(self) -> None:
        """Write what is pending; what the database does not take now stays in the journal for the next start."""
        self._stopping.set()
        if self._flushing:
            await self._flushing
        await self.flush()
        self._thread.shutdown(wait=False)
        self._journal.close()
        if self._unjournalled:
            self.lost += len(self._unjournalled)
            log.error("%d usage records are lost: journal and database both failed.", len(self._unjournalled))

    async def _run(self) -> None:
        delay = self._settings.flush_seconds
        while not await self._stopped_within(delay):
            succeeded = await self.flush()
            delay = self._settings.flush_seconds if succeeded else min(2 * delay, LONGEST_DELAY)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def flush(self) -> bool:
        """Write all that was taken so far, what dead processes left included; False where the database did not take it."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._drain)
        except Exception as error:
            # Whatever it was: the journal keeps the records, and the next attempt may succeed.
            if not self._failing:
                log.warning("Usage records wait in the journal: %s", error)
            self._failing = True
            return False
        if self._failing:
            log.warning("Usage records are written again.")
        self._failing = False
        return True

    def _drain(self) -> None:
        """Write all that had come when this began."""
        if not self._recovered:
            self._recover()
        for segment, end in [(segment, segment.size) for segment in self._journal.segments]:
            while segment.settled < end:
                self._settled += self._settle(segment)
        self._journal.remove_settled()
        if held := self._unjournalled[:]:
            self._insert(decode(b"".join(held))[0])
            del self._unjournalled[: len(held)]
            self._settled += len(held)

    def _recover(self) -> None:
        before = self.written
        for segment in self._journal.orphans():
            while segment.settled < segment.size:
                self._settle(segment)
            segment.remove()
        self._recovered = True
        if self.written > before:
            log.info("%d usage records of stopped processes are in the database.", self.written - before)

    def _settle(self, segment: Segment) -> int:
        lines = segment.read(BATCH_BYTES)
        records, torn = decode(lines)
        self._insert(records)
        segment.settled += len(lines)
        self.torn += torn
        return len(records)

    def _insert(self, records: list[UsageRecord]) -> None:
        try:
            insert(self._engine, records)
        except (DataError, IntegrityError, OverflowError) as error:  # one wrong record must not hold up all others
            if len(records) == 1:
                self.lost += 1
                log.error("The database refused a usage record, which is left out: %s: %r", error, records[0])
                return
            middle = len(records) // 2
            self._insert(records[:middle])
            self._insert(records[middle:])
        else:
            self.written += len(records)

    def _hold(self, line: bytes, error: OSError) -> None:
        if not self.journal_failures:
            log.error("The usage journal cannot be written, records are held in memory: %s", error)
        self.journal_failures += 1
        if len(self._unjournalled) < HELD_RECORDS:
            self._unjournalled.append(line + b"\n")
        else:
            self.lost += 1
            self._recorded -= 1
