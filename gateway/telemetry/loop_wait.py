"""How long requests wait for the event loop: from the kernel having their bytes to the loop taking them up.

Linux tells for each TCP connection when it last got data (`TCP_INFO`, tcp(7)); read when a request's first byte is
handled, that is the wait, and it also covers a connection that stood in the accept queue meanwhile. A request that came in
several segments counts from its last one. The kernel counts in ticks of 1 to 10 ms.
"""

import asyncio
import socket
import struct
import sys
from asyncio import BaseTransport

from gateway.telemetry.histogram import Histogram

WAIT_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
EVERY = 32
"""One in so many requests of a process is looked at, and the first of each connection: asking the kernel costs 2.5 µs."""
LAG_SECONDS = 0.1

_LAST_DATA_RECEIVED = 52
"""Where `tcpi_last_data_recv` (milliseconds, 32 bits) stands in `struct tcp_info`; Linux only ever appends to it."""
_INFO_BYTES = _LAST_DATA_RECEIVED + 4
TCP_INFO: int | None = socket.TCP_INFO if sys.platform == "linux" else None


class LoopWait:
    """The histogram of one process. Where the kernel does not tell, the lateness of a timer stands for the wait.

    Args:
        tcp_info: the socket option; None: there is none.
    """

    def __init__(self, tcp_info: int | None = TCP_INFO) -> None:
        self.histogram = Histogram(WAIT_SECONDS)
        self._tcp_info = tcp_info
        self._requests = 0

    def sample(self, transport: BaseTransport, *, first: bool) -> None:
        """To be called when the first byte of a request is handled.

        Args:
            first: it is the first request of its connection.
        """
        self._requests += 1
        if (first or self._requests % EVERY == 0) and self._tcp_info is not None:
            self._look(transport, self._tcp_info)

    def start(self) -> None:
        """Watch a timer of the running loop, where there is no other way."""
        if self._tcp_info is None:
            loop = asyncio.get_running_loop()
            self._wait_for_timer(loop, loop.time())

    def _look(self, transport: BaseTransport, option: int) -> None:
        connection = transport.get_extra_info("socket")
        try:
            info = connection.getsockopt(socket.IPPROTO_TCP, option, _INFO_BYTES)
            (milliseconds,) = struct.unpack_from("=I", info, _LAST_DATA_RECEIVED)
        except (OSError, AttributeError, struct.error):  # closed already, or no TCP connection at all
            return
        self.histogram.add(milliseconds / 1000)

    def _wait_for_timer(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        late = loop.time() - due
        self.histogram.add(max(late, 0.0))
        due = loop.time() + LAG_SECONDS
        loop.call_at(due, self._wait_for_timer, loop, due)
