"""Whether Redis is there, and whether it still knows what it knew.

What Redis knows belongs to an epoch. A server that restarted, a replica that took over or one that was emptied may have
lost leases, so an epoch ends with them, and the next begins with what the processes and the database know: each process
registers its calls under way and writes its usage records before budgets are counted again. A budget is never larger
for it.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable

from gateway.metering.redis_accounts import Keys
from gateway.metering.redis_pipe import RedisPipe
from gateway.metering.redis_scripts import ALL, ENTER
from sluice.errors import StateUnavailable
from sluice.settings import RedisSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often a process looks whether the epoch is the one it knows; less than `rebuild_seconds` by far."""
LONGEST_DELAY = 1.0
"""Seconds between two attempts to reach Redis."""


class RedisLink:
    """The connection of one process, made again whenever it is lost.

    Args:
        flush: writes the usage records of this process.
        entered: called on each new connection before others may use it; True where the epoch is a new one.
        renew: called every third of `lease_seconds`.

    Attributes:
        pipe: None while Redis is lost.
        keys: of the epoch that this process knows.
    """

    def __init__(
        self,
        settings: RedisSettings,
        flush: Callable[[], Awaitable[bool]],
        entered: Callable[[RedisPipe, bool], None],
        renew: Callable[[RedisPipe], None],
    ) -> None:
        self.pipe: RedisPipe | None = None
        self.keys = Keys(settings.prefix, b"")
        self._settings = settings
        self._flush = flush
        self._entered = entered
        self._renew = renew
        self._warned = False
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and stay so. A server that does not answer does not fail this; requests are told.

        Raises:
            StateUnavailable: the server refuses us.
        """
        try:
            await asyncio.sleep(await self._enter())  # so that nobody is refused for a first start
        except OSError as error:
            self._warn(error)
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End the connection."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    async def _keep(self) -> None:
        delay = LOOK_SECONDS / 4
        while True:
            if self.pipe is not None:
                self._warn(await self._lost(self.pipe))
                self.pipe = None
            try:
                await self._enter()
                delay = LOOK_SECONDS / 4
            except Exception as error:  # whatever it was, the next attempt may succeed
                self._warn(error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, LONGEST_DELAY)

    async def _lost(self, pipe: RedisPipe) -> Exception:
        """What ended the connection; until then, look whether the epoch goes on and renew leases."""
        every = max(1, int(self._settings.lease_seconds / 3 / LOOK_SECONDS))
        looks = 0
        while not pipe.lost.done():
            looks += 1
            if looks % every == 0:
                self._renew(pipe)
            try:
                if await pipe.ask("HGET", self.keys.where, "id") != self.keys.epoch:
                    pipe.close()
                    return StateUnavailable("Redis lost what it knew.")
            except (OSError, StateUnavailable) as error:
                pipe.close()
                return error
            await asyncio.wait({pipe.lost}, timeout=LOOK_SECONDS)
        return pipe.lost.result()

    async def _enter(self) -> float:
        """Connect; seconds until budgets are counted in the epoch that was found.

        Raises:
            OSError: nobody answers.
            StateUnavailable: the server refuses us.
        """
        async with asyncio.timeout(self._settings.connect_seconds):
            pipe = await RedisPipe.connect(self._settings.url, self._settings.command_seconds)
        try:
            for script in ALL:
                await pipe.ask("SCRIPT", "LOAD", script.text)
            info: bytes = await pipe.ask("INFO")
            self._check_memory(info)
            found = re.search(rb"run_id:(\w+)", info)
            run = found[1] if found else b""
            epoch, seconds = await self._join(pipe, run)
            is_new = self.keys.epoch not in (b"", epoch)
            if is_new:
                writing = asyncio.ensure_future(self._flush())
                while not (await asyncio.wait({writing}, timeout=self._settings.rebuild_seconds / 2))[0]:
                    epoch, seconds = await self._join(pipe, run)
                log.warning("Redis lost what it knew: budgets are read from the database again.")
            if epoch != self.keys.epoch:
                self.keys = Keys(self._settings.prefix, epoch)
            self._entered(pipe, is_new)
            await pipe.ask("PING")  # what was sent has arrived
        except BaseException:
            pipe.close()
            raise
        self.pipe = pipe
        if self._warned:
            log.warning("Redis is back.")
        self._warned = False
        return seconds

    async def _join(self, pipe: RedisPipe, run: bytes) -> tuple[bytes, float]:
        rebuild = b"%d" % max(1, 1_000 * self._settings.rebuild_seconds)
        arguments = (self.keys.epoch, secrets.token_hex(4).encode(), run, rebuild)
        command = ENTER.call((self.keys.where, self.keys.rebuilding), *arguments)
        epoch, milliseconds = await pipe.ask_packed(command)
        return epoch, max(0, milliseconds) / 1_000

    def _check_memory(self, info: bytes) -> None:
        evicts = re.search(rb"maxmemory_policy:(?!noeviction)(\w\S*)", info)
        if evicts and b"maxmemory:0\r" not in info and not self.keys.epoch:
            log.warning(
                "Redis forgets keys when its memory is full (maxmemory-policy %s), leases too, and budgets are then "
                "larger than they should be. Set it to noeviction.",
                evicts[1].decode(),
            )

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            then = "are refused" if self._settings.when_lost == "closed" else "pass uncounted"
            log.warning("Redis is lost, calls that a hard budget counts %s: %s", then, str(error) or repr(error))
        self._warned = True
