"""Our own client against arbitrary bytes, cut anywhere. No sockets: the test plays the transport, to be quick."""

import asyncio
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.upstream.http1 import Connection
from gateway.upstream.response import Response
from sluice.errors import UpstreamFailed
from sluice.settings import UpstreamSettings

BODIES = st.binary(max_size=300)
FIELDS = st.lists(
    st.tuples(st.from_regex(rb"x-[a-z]{1,8}", fullmatch=True), st.from_regex(rb"[!-~]{0,20}", fullmatch=True)),
    max_size=5,
)
CUTS = st.lists(st.integers(1, 60), min_size=1, max_size=20)
FRAGMENTS = st.sampled_from(
    [b"HTTP/1.1 ", b"HTTP/1.0 ", b"200", b"204", b"100", b" OK\r\n", b"\r\n", b"\n", b"content-length: 3\r\n", b"abc",
     b"content-length: 18446744073709551616\r\n", b"transfer-encoding: chunked\r\n", b"connection: close\r\n",
     b"3\r\nabc\r\n", b"0\r\n\r\n", b"upgrade: x\r\nconnection: upgrade\r\n",
     b"ffffffffffffffffff\r\n", b":", b" ", b"\0", b"\xff"]
)  # fmt: skip
JUNK = st.lists(st.one_of(FRAGMENTS, st.binary(max_size=20)), max_size=30).map(b"".join)


class Wire(asyncio.Transport):
    """What the connection does to its socket."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.aborted

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def abort(self) -> None:
        self.aborted = True


class Exchanges:
    """One connection, and what became of it."""

    def __init__(self) -> None:
        self.settled = self.gone = 0
        self.connection = Connection("peer:1", UpstreamSettings(), self._settled, self._gone)
        self.wire = Wire()
        self.connection.connection_made(self.wire)

    def _settled(self, _: Connection) -> None:
        self.settled += 1

    def _gone(self, _: Connection) -> None:
        self.gone += 1

    async def run(
        self, raw: bytes, cuts: list[int], then: Callable[[Connection], None] | None = None
    ) -> tuple[Response, bytes] | None:
        """The whole answer and its body, or None if it failed; never waits for long."""
        response = self.connection.send(b"head", b"", without_body=False)

        async def read() -> tuple[Response, bytes] | None:
            await self.connection.wait("first_byte_seconds", 600)
            try:
                return response, await response.read()
            except UpstreamFailed:
                return None

        reading = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        position = turn = 0
        while position < len(raw) and not self.wire.aborted:
            size = cuts[turn % len(cuts)]
            self.connection.data_received(raw[position : position + size])
            position, turn = position + size, turn + 1
            if turn % 3 == 0:
                await asyncio.sleep(0)
        if then is not None:
            then(self.connection)
        for _ in range(100):  # turns of the loop, and no clock
            if not reading.done():
                await asyncio.sleep(0)
        assert reading.done(), "it still waits for more"
        return reading.result()


def hang_up(connection: Connection) -> None:
    connection.eof_received()
    connection.connection_lost(None)


def encode(body: bytes, fields: list[tuple[bytes, bytes]], sizes: list[int] | None) -> bytes:
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % field for field in fields)
    if sizes is None:
        return head + b"content-length: %d\r\n\r\n" % len(body) + body
    encoded, position, turn = head + b"transfer-encoding: chunked\r\n\r\n", 0, 0
    while position < len(body):
        part = body[position : position + sizes[turn % len(sizes)]]
        encoded += b"%x\r\n%b\r\n" % (len(part), part)
        position, turn = position + len(part), turn + 1
    return encoded + b"0\r\n\r\n"


@settings(max_examples=300, deadline=None)
@given(raw=JUNK, cuts=CUTS)
def test_arbitrary_bytes_end_in_an_answer_or_a_failure(raw: bytes, cuts: list[int]) -> None:
    async def scenario() -> None:
        exchanges = Exchanges()
        answer = await exchanges.run(raw, cuts, hang_up)
        assert answer is None or 200 <= answer[0].status < 600
        assert exchanges.wire.aborted
        assert exchanges.gone >= 1
        assert exchanges.connection.response is None

    asyncio.run(scenario())


@settings(max_examples=200, deadline=None)
@given(bodies=st.lists(BODIES, min_size=1, max_size=3), fields=FIELDS, sizes=st.none() | CUTS, cuts=CUTS)
def test_valid_answers_are_read_alike_however_they_are_cut(
    bodies: list[bytes], fields: list[tuple[bytes, bytes]], sizes: list[int] | None, cuts: list[int]
) -> None:
    async def scenario() -> None:
        exchanges = Exchanges()
        for number, body in enumerate(bodies, 1):
            answer = await exchanges.run(encode(body, fields, sizes), cuts)
            assert answer is not None
            response, read = answer
            assert (response.status, read) == (200, body)
            assert response.headers[: len(fields)] == fields
            assert (exchanges.settled, exchanges.gone) == (number, 0)
        assert not exchanges.wire.paused

    asyncio.run(scenario())


@settings(max_examples=200, deadline=None)
@given(body=BODIES, more=BODIES, junk=JUNK, cuts=CUTS, sizes=st.none() | CUTS)
def test_what_follows_an_answer_is_never_mixed_into_one(
    body: bytes, more: bytes, junk: bytes, cuts: list[int], sizes: list[int] | None
) -> None:
    async def scenario() -> None:
        for trailing in (encode(more, [], sizes), junk):
            exchanges = Exchanges()
            answer = await exchanges.run(encode(body, [], sizes) + trailing, cuts)
            assert answer is not None
            assert answer[1] == body
            if trailing.strip(b"\r\n"):
                assert exchanges.gone >= 1
                assert exchanges.wire.aborted

    asyncio.run(scenario())
