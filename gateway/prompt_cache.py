"""Prompts in memory. A version never changes; where a label points is asked of the database at most once a second."""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass

from sqlalchemy import Engine

from prompts.prompt import SHOWN, Prompt
from prompts.registry import find_row
from sluice.errors import SEND_AGAIN, SluiceError, StateUnavailable

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""A prompt's name, and the version or label that a request names."""

FRESH_SECONDS = 1.0
"""How long a label, or the absence of one, is believed; also the pause between two tries of a lost database."""
WAIT_SECONDS = 2.0
"""How long a request waits for the database."""
ENTRIES = 512


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the database said of a key, and when it was asked (monotonic seconds)."""

    found: Prompt | SluiceError
    asked: float
    fresh_until: float


class PromptCache:
    """The prompts of one process. Use it from one event loop."""

    def __init__(self, engine: Engine, stale_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing in memory.

        Args:
            stale_seconds: how long a label goes on with the database lost.
            clock: seconds that never go back.
        """
        self._engine = engine
        self._stale_seconds = stale_seconds
        self._clock = clock
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._lookups: dict[Key, asyncio.Future[_Entry]] = {}
        self._retry_at: float | None = None
        """When a database that is lost is tried again."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prompts")

    def close(self) -> None:
        """End the thread; a look-up under way is left to end by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def find(self, name: str, version: str) -> Prompt:
        """The prompt that a version, the beginning of one, or a label names.

        Raises:
            NotFound: as `prompts.registry.find_version`.
            StateUnavailable: it is not in memory, or the label for longer than `stale_seconds`, and the database is lost.
        """
        key = (name, version)
        entry = self._entries.get(key)
        if entry is None:
            entry = await self._look_up(key, None)
        elif entry.fresh_until <= self._clock():
            entry = await self._look_up(key, entry)
        else:
            self._entries.move_to_end(key)
        if isinstance(entry.found, SluiceError):
            raise copy(entry.found)  # an error that is raised holds on to its request, body and all
        return entry.found

    async def _look_up(self, key: Key, known: _Entry | None) -> _Entry:
        """One look-up for all who want the same at one time; what is known, while the database is lost."""
        usable = known is not None and self._clock() - known.asked < self._stale_seconds
        lost = self._retry_at is not None
        if self._retry_at is None or self._clock() >= self._retry_at:
            lookup = self._lookups.get(key) or self._begin(key, known)
            if not (lost and usable):
                await asyncio.wait((lookup,), timeout=WAIT_SECONDS)
                if not lookup.done():
                    self._note_lost(f"it does not answer within {WAIT_SECONDS:g} s")
                elif not lookup.exception():
                    return lookup.result()
        if known is not None and usable:
            return known
        raise StateUnavailable(
            f"The prompt '{key[0][:SHOWN]}' cannot be looked up: the database is lost.",
            fix=SEND_AGAIN,
        )

    def _begin(self, key: Key, known: _Entry | None) -> "asyncio.Future[_Entry]":
        lookup = asyncio.get_running_loop().run_in_executor(self._thread, self._ask, key, known)
        self._lookups[key] = lookup
        lookup.add_done_callback(lambda _: self._end(key, lookup))
        return lookup

    def _end(self, key: Key, lookup: "asyncio.Future[_Entry]") -> None:
        del self._lookups[key]
        if lookup.cancelled():
            return
        if error := lookup.exception():
            self._note_lost(error)
            return
        if self._retry_at is not None:
            log.warning("Prompts are looked up again.")
            self._retry_at = None
        self._entries[key] = lookup.result()
        self._entries.move_to_end(key)
        if len(self._entries) > ENTRIES:
            self._entries.popitem(last=False)

    def _note_lost(self, why: object) -> None:
        if self._retry_at is None:
            log.warning("Labels of prompts go on unrefreshed for %g s: %s", self._stale_seconds, why)
        self._retry_at = self._clock() + FRESH_SECONDS

    def _ask(self, key: Key, known: _Entry | None) -> _Entry:
        """In the thread. A version that is in memory already is not parsed again."""
        asked = self._clock()
        found: Prompt | SluiceError
        try:
            row = find_row(self._engine, *key)
            if known and isinstance(known.found, Prompt) and known.found.version == row.version:
                found = known.found
            else:
                found = row.prompt()
        except StateUnavailable:
            raise
        except SluiceError as error:
            found = error.with_traceback(None)
        forever = isinstance(found, Prompt) and found.version == key[1]
        return _Entry(found, asked, math.inf if forever else asked + FRESH_SECONDS)
