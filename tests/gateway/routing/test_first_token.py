"""When an answer has begun, by a response that the test holds in its hand."""

import time
from typing import Any

import msgspec
import pytest

from gateway.routing.first_token import HELD_BYTES, AwaitedStream
from sluice.errors import SluiceError, UpstreamFailed, UpstreamTimeout

IDLE = 7.0


def chunk(**delta: Any) -> bytes:
    return b"data: " + msgspec.json.encode({"choices": [{"index": 0, "delta": delta}]}) + b"\n\n"


ROLE, TOKEN = chunk(role="assistant", content=""), chunk(content="a")


class Given:
    """An upstream's response that consists of these pieces; None: nothing comes in time."""

    status = 200
    content_type = b"text/event-stream"

    def __init__(self, *pieces: bytes | None) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.idle_seconds = IDLE
        self.waits: list[float] = []
        self._pieces = list(pieces)

    async def chunk(self) -> bytes:
        self.waits.append(self.idle_seconds)
        piece = self._pieces.pop(0) if self._pieces else b""
        if piece is None:
            raise UpstreamTimeout("nothing came")
        return piece

    async def read(self) -> bytes:
        raise AssertionError("a stream is read in pieces")

    def close(self) -> None:
        pass


def awaited(given: Given, seconds: float = 100) -> AwaitedStream:
    return AwaitedStream(given, "far", seconds, time.monotonic())


async def rest(stream: AwaitedStream) -> list[bytes]:
    pieces: list[bytes] = []
    while piece := await stream.chunk():
        pieces.append(piece)
    return pieces


@pytest.mark.parametrize(
    "begin",
    [
        TOKEN,
        ROLE + TOKEN,
        chunk(reasoning_content="hm"),
        chunk(tool_calls=[{"index": 0}]),
        b'data: {"choices":[{"text":"a"}]}\n\n',
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\r\n\r\n',
        b'event: message\ndata: {"choices":[{"text":"a"}]}\n\n',
        b'data: {"choices":[{"delta":"a"}]}\n\n',
        b"data: [DONE]\n\n",
    ],
)
async def test_what_begins_an_answer(begin: bytes) -> None:
    given = Given(ROLE, b": a comment\n\n", chunk(content="", tool_calls=[], reasoning=None), begin, TOKEN)
    stream = awaited(given)
    await stream.hold()
    assert len(given.waits) == 4
    assert await stream.chunk() == b"".join(
        [ROLE, b": a comment\n\n", chunk(content="", tool_calls=[], reasoning=None), begin]
    )
    assert await rest(stream) == [TOKEN]


@pytest.mark.parametrize(
    "noise",
    [
        b"data: [\n\n",
        b"data: \xff\n\n",
        b'data: {"choices":[{"delta":{"\xff":"a"}}]}\n\n',
        b'data: {"choices":[{"text":"\xff"}]}\n\n',
        b'data: {"x":' + b"[" * 10_000 + b"\n\n",
        b"data:\n\n",
        b"\n\n\n\n",
        b'data: {"choices":null}\n\n',
    ],
)
async def test_what_cannot_be_read_begins_nothing(noise: bytes) -> None:
    given = Given(noise, TOKEN)
    await awaited(given).hold()
    assert len(given.waits) == 2


@pytest.mark.parametrize("cut", range(1, len(TOKEN)))
async def test_events_may_come_in_parts(cut: int) -> None:
    stream = awaited(Given(ROLE + TOKEN[:cut], TOKEN[cut:], TOKEN))
    await stream.hold()
    assert await rest(stream) == [ROLE + TOKEN, TOKEN]


async def test_until_then_the_first_tokens_time_holds_and_after_it_that_between_tokens() -> None:
    given = Given(ROLE, ROLE, TOKEN, TOKEN, TOKEN)
    stream = awaited(given, seconds=100)
    assert await rest(stream) == [ROLE, ROLE, TOKEN, TOKEN, TOKEN]
    first, second, third, *others = given.waits
    assert 90 < third <= second <= first <= 100
    assert others == [IDLE] * 3
    assert stream.chunk == given.chunk, "it steps aside"


@pytest.mark.parametrize("hold", [False, True])
async def test_a_first_token_that_does_not_come(hold: bool) -> None:
    stream = awaited(Given(ROLE, None), seconds=5)
    with pytest.raises(UpstreamTimeout, match=r"'far' wrote no token within 5 s \(first_token_seconds\)"):
        await (stream.hold() if hold else rest(stream))


async def test_what_comes_late_later_on_is_told_as_it_is() -> None:
    stream = awaited(Given(TOKEN, None))
    with pytest.raises(UpstreamTimeout, match="nothing came"):
        await rest(stream)


async def test_a_stream_that_ends_without_one() -> None:
    with pytest.raises(UpstreamFailed, match="ended its stream"):
        await awaited(Given(ROLE)).hold()
    assert await rest(awaited(Given(ROLE))) == [ROLE]


@pytest.mark.parametrize(("code", "status"), [(429, 429), (503, 503), ("busy", 502), (200, 502), (None, 502)])
async def test_an_error_event_instead_is_the_upstreams_answer(code: object, status: int) -> None:
    event = b"data: " + msgspec.json.encode({"error": {"message": "Sorry.", "code": code}}) + b"\n\n"
    with pytest.raises(SluiceError, match="Sorry") as refused:
        await awaited(Given(ROLE, event)).hold()
    assert refused.value.status == status
    assert await rest(awaited(Given(ROLE, event))) == [ROLE, event], "the client's, where nothing else could answer"


async def test_a_server_that_never_says_anything_is_not_held_for_ever() -> None:
    noise = b": " + b"x" * 1000 + b"\n\n"
    given = Given(*[noise] * 1000)
    stream = awaited(given)
    await stream.hold()
    assert len(given.waits) < HELD_BYTES / len(noise) + 2
    endless = Given(*[b"x" * 1000] * 1000)
    await awaited(endless).hold()
    assert len(endless.waits) < HELD_BYTES / 1000 + 2
