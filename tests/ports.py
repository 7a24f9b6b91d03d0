"""Ports for processes that a test starts: they are given a number, so they cannot choose a free one themselves."""

import secrets
import socket
from contextlib import ExitStack, suppress

BELOW_CLIENTS = range(20_000, 30_000)
"""Where the system takes no port for a connection or a server that asks for any, so a free one stays free."""

_given: set[int] = set()


def free_ports(count: int) -> int:
    """The first of `count` ports in a row on loopback that nobody has, and that no other test was given."""
    while True:
        first = secrets.choice(BELOW_CLIENTS[:-count])
        wanted = set(range(first, first + count))
        with ExitStack() as stack, suppress(OSError):
            for port in wanted - _given:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            if wanted.isdisjoint(_given):
                _given.update(wanted)
                return first


def free_port() -> int:
    """One such port."""
    return free_ports(1)
