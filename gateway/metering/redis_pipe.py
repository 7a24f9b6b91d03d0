"""One connection to Redis: the commands of one turn of the event loop leave in one write, their replies come in order.

redis-py's connections cost a call five times this. Its parser of URLs and hiredis are used; the rest of a client (a pool,
retries, decoding) is what the ledger does not want.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Self, cast

import hiredis
from redis.asyncio.connection import parse_url

from sluice.errors import StateUnavailable

Receiver = Callable[[Any], None]
"""Takes the reply to a command, or the exception that came in its place."""


class RedisPipe(asyncio.Protocol):
    """Use `connect`.

    Args:
        seconds: for a command; the connection is given up when the oldest has waited for longer.

    Attributes:
        lost: what ended it; set once.
    """

    def __init__(self, seconds: float) -> None:
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Receiver] = deque()
        self._leaving: list[bytes] = []
        self._silent = 0
        self._watch: asyncio.TimerHandle | None = None

    @classmethod
    async def connect(cls, url: str, seconds: float) -> Self:
        """Open a connection and introduce oneself.

        Raises:
            OSError, TimeoutError: nobody answers.
            StateUnavailable: the server refuses; it says why.
        """
        loop = asyncio.get_running_loop()
        target = parse_url(url)
        secure = _tls(target) if url.startswith("rediss:") else None
        if path := target.get("path"):
            _, pipe = await loop.create_unix_connection(lambda: cls(seconds), path)
        else:
            host, port = target.get("host", "127.0.0.1"), target.get("port", 6379)
            _, pipe = await loop.create_connection(lambda: cls(seconds), host, port, ssl=secure)
        try:
            if password := target.get("password"):
                await pipe.ask("AUTH", *filter(None, (target.get("username"), password)))
            if database := target.get("db"):
                await pipe.ask("SELECT", database)
        except BaseException:
            pipe.close()
            raise
        return pipe

    def send(self, command: bytes, receiver: Receiver) -> None:
        """Send a packed command."""
        if self._transport is None:
            receiver(ConnectionError("the connection to Redis is closed"))
            return
        if not self._leaving:
            self._loop.call_soon(self._leave)
        if not self._waiting:
            self._silent = 0
        self._leaving.append(command)
        self._waiting.append(receiver)

    def ask(self, *command: str | bytes | float) -> asyncio.Future[Any]:
        """Send a command; its reply.

        Raises (the future):
            StateUnavailable: the server refuses it.
            OSError: the connection ended.
        """
        return self.ask_packed(packed(*command))

    def ask_packed(self, command: bytes) -> asyncio.Future[Any]:
        """As `ask`."""
        answered: asyncio.Future[Any] = self._loop.create_future()

        def receive(reply: Any) -> None:
            if answered.done():
                return
            if isinstance(reply, hiredis.ReplyError):
                answered.set_exception(refused(reply))
            elif isinstance(reply, Exception):
                answered.set_exception(reply)
            else:
                answered.set_result(reply)

        self.send(command, receive)
        return answered

    def close(self) -> None:
        """End the connection; what waits for a reply gets an exception."""
        self._end(ConnectionError("the connection to Redis was closed"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("Redis closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._silent = 0
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._waiting.popleft()(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self._end(ConnectionError(f"what answers is no Redis: {error}"))

    def _leave(self) -> None:
        if self._transport is None:
            return
        self._transport.write(b"".join(self._leaving))
        self._leaving.clear()
        if self._watch is None:
            self._watch = self._loop.call_later(self._seconds / 2, self._look)

    def _look(self) -> None:
        """One timer for all that wait, which runs only while something does. It looks twice before it gives up: where
        this process itself was held up, the replies may have come."""
        self._watch = None
        if not self._waiting:
            return
        self._silent += 1
        if self._silent > 2:
            self._end(TimeoutError(f"Redis did not answer within {self._seconds:g} s"))
        else:
            self._watch = self._loop.call_later(self._seconds / 2, self._look)

    def _end(self, error: Exception) -> None:
        transport, self._transport = self._transport, None
        if self._watch is not None:
            self._watch.cancel()
        if not self.lost.done():
            self.lost.set_result(error)
        if transport is not None:
            transport.abort()
        while self._waiting:
            self._waiting.popleft()(error)


def packed(*command: str | bytes | float) -> bytes:
    """A command in Redis' protocol."""
    return hiredis.pack_command(command)  # pyright: ignore


def refused(error: hiredis.ReplyError) -> StateUnavailable:
    """What the server's refusal means, with the fix for what an operator can have got wrong."""
    said = str(error)
    kind = said.partition(" ")[0]
    fixes = {
        "WRONGPASS": "Set the user and the password in redis.url: redis://user:password@host:6379/0.",
        "NOAUTH": "Set the password in redis.url: redis://:password@host:6379/0.",
        "NOPERM": "Allow the user of redis.url to run scripts and to use the keys of redis.prefix.",
        "READONLY": "Set redis.url to the primary; this is a replica.",
        "MOVED": f"Set redis.url to the node of the cluster that holds the keys: {said.rpartition(' ')[2]}.",
        "OOM": "Give Redis more memory.",
        "MISCONF": "See why Redis cannot write its snapshot to disk.",
    }
    return StateUnavailable(f"Redis refuses: {said}.", fix=fixes.get(kind, ""))


def _tls(target: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=target.get("ssl_ca_certs"))
    if certificate := target.get("ssl_certfile"):
        context.load_cert_chain(certificate, target.get("ssl_keyfile"))
    if target.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
