"""Keeping requests and answers where a guardrail policy says so: collected on their way, written behind them.

What is kept has been through the policy: the request as it goes upstream, the answer as the client gets it. Unlike usage
records, bodies are not journalled: a killed process loses what it had not written, half a second's worth.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from gateway.kept.assembled import assembled
from gateway.kept.body_table import RequestBody, delete_expired, insert_bodies
from gateway.metrics import Gauge

log = logging.getLogger(__name__)

BATCH_BODIES = 64
EXPIRY_SECONDS = 60.0
LONGEST_DELAY = 5.0
"""Seconds between two attempts while the database is lost."""
PIECE_BYTES = 64
"""What a piece of a stream takes beside its bytes, about."""


class KeptBody:
    """What one request said, and its answer so far.

    Args:
        bodies: hold it until it is written.
    """

    __slots__ = ("_bodies", "answer", "at", "days", "lost", "request", "request_id", "size", "streamed")

    def __init__(self, request_id: str, request: bytes, days: int, at: datetime, bodies: "Bodies") -> None:
        self._bodies = bodies
        self.request_id = request_id
        self.days = days
        self.at = at
        self.answer: list[bytes] = []
        self.streamed = False
        self.size = 0
        self.lost = not self._hold(len(request))
        self.request = b"" if self.lost else request

    def whole(self, answer: bytes) -> None:
        """The answer, all of it."""
        self._add(answer)

    def piece(self, events: bytes) -> None:
        """The next events of a streamed answer."""
        self.streamed = True
        self._add(events)

    def end(self) -> None:
        """The answer is there, as far as it came."""
        self._bodies.end(self)

    def row(self) -> RequestBody:
        """As it is written."""
        answer = b"".join(self.answer)
        return RequestBody(
            request_id=self.request_id,
            at=self.at,
            request=self.request,
            response=(assembled(answer) if self.streamed else answer) if self.answer else None,
            expires_at=self.at + timedelta(days=self.days),
        )

    def _add(self, piece: bytes) -> None:
        if self.lost:
            return
        if self._hold(len(piece) + PIECE_BYTES):
            self.answer.append(piece)
        else:
            self.lost = True  # half an answer would pass for a whole one
            self.request = b""
            self.answer.clear()

    def _hold(self, size: int) -> bool:
        held = self._bodies.hold(size)
        self.size += size if held else 0
        return held


class Bodies:
    """The bodies of one process, in memory until they are in the database. Belongs to one event loop.

    Args:
        most: bytes held at one time; what goes beyond is not kept.
        now: the time, with its zone.

    Attributes:
        lost: requests whose bodies should have been kept, and were not.
    """

    def __init__(
        self, engine: Engine, most: int, flush_seconds: float, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._engine = engine
        self._most = most
        self._flush_seconds = flush_seconds
        self._now = now
        self._held_bytes = 0
        self._ended: list[KeptBody] = []
        self._some = asyncio.Event()
        self._failing = False
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bodies")
        self.lost = 0

    def keep(self, request_id: str, request: bytes, days: int) -> KeptBody:
        """Begin with a request that goes upstream."""
        return KeptBody(request_id, request, days, self._now(), self)

    def hold(self, size: int) -> bool:
        """Take so many bytes of the memory there is for bodies; False where that is not left."""
        if self._held_bytes + size > self._most:
            return False
        self._held_bytes += size
        return True

    def end(self, kept: KeptBody) -> None:
        """Its answer is there, as far as it came."""
        if kept.lost:
            self._held_bytes -= kept.size
            self.lost += 1
        else:
            self._ended.append(kept)
            self._some.set()

    def gauges(self) -> list[Gauge]:
        """What an operator watches."""
        return [("sluice_bodies_lost", "Bodies to be kept that were not, for want of memory.", lambda: self.lost)]

    def start(self) -> None:
        """Write in the background, and delete what has expired."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Write what is left; what the database does not take now is lost."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        if self._ended:
            await self.flush()
        if self._ended:
            self.lost += len(self._ended)
            log.error("%d bodies that should have been kept are lost with the database.", len(self._ended))
        self._thread.shutdown(wait=False)

    async def flush(self) -> bool:
        """Write all that has ended; False where the database does not take it."""
        while batch := self._ended[:BATCH_BODIES]:
            if not await self._in_thread(lambda batch=batch: insert_bodies(self._engine, [one.row() for one in batch])):
                return False
            del self._ended[: len(batch)]
            self._held_bytes -= sum(one.size for one in batch)
        return True

    async def expire(self) -> bool:
        """Delete what has expired; False where the database does not answer."""
        return await self._in_thread(lambda: delete_expired(self._engine, self._now()))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        expiry, delay = loop.time(), self._flush_seconds
        while True:
            if loop.time() >= expiry:
                await self.expire()
                expiry = loop.time() + EXPIRY_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._some.wait(), max(0.0, expiry - loop.time()))
            await asyncio.sleep(delay)
            self._some.clear()
            if await self.flush():
                delay = self._flush_seconds
            else:
                delay = min(2 * delay, LONGEST_DELAY)
                self._some.set()

    async def _in_thread(self, work: Callable[[], object]) -> bool:
        try:
            # Shielded: what is being written when the gateway stops is waited for by the flush that follows.
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))
        except Exception as error:
            # Whatever it was: the next attempt may succeed, and memory is bounded.
            if not self._failing:
                log.warning("Kept bodies are neither written nor deleted: %s", error)
            self._failing = True
            return False
        if self._failing:
            log.warning("Kept bodies are written and deleted again.")
        self._failing = False
        return True
