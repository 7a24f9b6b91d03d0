"""Keeps the test process itself on loopback: what would leave it fails and is recorded, with the stack that asked.

Python's own sockets are seen through audit events. uvloop raises none, so its methods are overridden; datagrams sent
through a uvloop transport that is not connected are the one thing that stays unseen.
"""

import errno
import functools
import ipaddress
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvloop


@dataclass(frozen=True)
class Escape:
    """A call that would have left loopback."""

    call: str
    address: str
    stack: str

    def __str__(self) -> str:
        return f"{self.call} {self.address}, called from\n{self.stack}"


class LoopbackOnly:
    """The guard of this process. An audit hook can never be removed, so there is one, made once."""

    def __init__(self) -> None:
        self._escapes: list[Escape] = []
        self._lock = threading.Lock()
        self._own_name = socket.gethostname().lower()
        self._checks: dict[str, Callable[[tuple[Any, ...]], None]] = {
            "socket.connect": lambda arguments: self._check_address("connect", arguments[1]),
            "socket.sendto": lambda arguments: self._check_address("sendto", arguments[1]),
            "socket.sendmsg": lambda arguments: self._check_address("sendmsg", arguments[1]),
            "socket.getaddrinfo": lambda arguments: self._check_name("getaddrinfo", arguments[0]),
            "socket.gethostbyname": lambda arguments: self._check_name("gethostbyname", arguments[0]),
            "socket.gethostbyaddr": lambda arguments: self._check_address("gethostbyaddr", (arguments[0], 0)),
            "socket.getnameinfo": lambda arguments: self._check_address("getnameinfo", arguments[0]),
        }

    def install(self) -> None:
        sys.addaudithook(self._audit)
        self._override("create_connection", self._check_connection)
        self._override("create_datagram_endpoint", self._check_datagrams)
        self._override("getaddrinfo", lambda host, *_, **__: self._check_name("getaddrinfo", host))
        self._override("sock_connect", lambda _, address: self._check_address("sock_connect", address))

    def take(self) -> list[Escape]:
        """The escapes since the last call, which are forgotten by it."""
        with self._lock:
            taken, self._escapes = self._escapes, []
        return taken

    @contextmanager
    def expecting(self) -> Iterator[list[Escape]]:
        """For a test that means to leave loopback: its escapes go into the list and do not fail it."""
        expected: list[Escape] = []
        try:
            yield expected
        finally:
            expected += self.take()

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if check := self._checks.get(event):
            check(arguments)

    def _override(self, name: str, check: Callable[..., None]) -> None:
        method = getattr(uvloop.Loop, name)

        @functools.wraps(method)
        async def guarded(loop: uvloop.Loop, *arguments: Any, **options: Any) -> Any:
            check(*arguments, **options)
            return await method(loop, *arguments, **options)

        setattr(uvloop.Loop, name, guarded)

    def _check_connection(self, _factory: Any, host: Any = None, port: Any = None, **_: Any) -> None:
        self._check_name("create_connection", host)
        self._check_address("create_connection", (host, port))

    def _check_datagrams(self, _factory: Any, _local_addr: Any = None, remote_addr: Any = None, **_: Any) -> None:
        if isinstance(remote_addr, tuple):
            self._check_name("create_datagram_endpoint", remote_addr[0])
            self._check_address("create_datagram_endpoint", remote_addr)

    def _check_address(self, call: str, address: Any) -> None:
        """Judge an address of the internet families; Unix sockets' addresses are text, and None means connected."""
        if not isinstance(address, tuple) or not address or not isinstance(address[0], str):
            return
        number = _number(address[0])
        if number is None:
            # Connecting to a name looks it up in C, without a further audit event.
            self._check_name(call, address[0])
        elif not _stays(number):
            self._record(call, f"{address[0]}:{address[1]}" if len(address) > 1 else address[0])
            raise PermissionError(errno.EACCES, f"the test guard keeps {call} on loopback: {address[0]}")

    def _check_name(self, call: str, host: Any) -> None:
        """Judge a look-up; a number needs none, wherever it points."""
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if not name or name.lower() in ("localhost", self._own_name) or _number(name) is not None:
            return
        self._record(call, name)
        raise socket.gaierror(socket.EAI_FAIL, f"the test guard keeps {call} on loopback: {name}")

    def _record(self, call: str, address: str) -> None:
        frames = [frame for frame in traceback.extract_stack() if frame.filename != __file__]
        stack = "".join(traceback.format_list(frames[-12:]))
        with self._lock:
            self._escapes.append(Escape(call, address, f"process {os.getpid()}\n{stack}"))


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _stays(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return address.is_loopback or address.is_unspecified
