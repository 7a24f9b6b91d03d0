"""How the scripted upstream answers one request, and the bytes that this comes to."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal

from tests.doubles.openai_answers import CONTENT, dump, error_body, plain_answer, sse, streamed_answer


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How one request is answered. Every field left out means: as a well-behaved vLLM does."""

    path: str | None = None
    """Only a request for this path takes this behaviour; None: the next request for anything but /health."""
    status: int = 200
    body: bytes | str | dict[str, Any] | None = None
    """Instead of OpenAI's answer; a dictionary is sent as JSON."""
    content: Sequence[str] = CONTENT
    """The pieces of text that the model says; in a stream one event each."""
    events: Sequence[bytes] | None = None
    """Exactly these SSE events, as bytes, each written and delayed by itself."""
    error_event_after: int | None = None
    """In a stream: after so many events an error event in vLLM's shape, then [DONE]."""
    headers: Sequence[tuple[str, str]] = ()
    """Further response headers; may repeat one that is sent anyway."""
    head_delay: float = 0
    """Seconds before the first byte."""
    chunk_delay: float = 0
    """Seconds before each event, or before the body of a plain answer."""
    go_on: threading.Event | None = None
    """What follows the head and the first event, or the body of a plain answer, waits until the test sets this."""
    framing: Literal["length", "chunked", "close"] | None = None
    """How the body's end is marked; default: chunked for a stream, else length. `close`: by the connection's end."""
    content_length: int | None = None
    """A content-length header with this value, right or wrong."""
    version: str = "1.1"
    interim: Sequence[int] = ()
    """1xx statuses sent before the answer."""
    pieces: Sequence[int] = ()
    """The raw response is written in pieces of these sizes, over and over, a millisecond apart."""
    raw: bytes | None = None
    """Exactly these bytes instead of any answer."""
    stop_at: int | Literal["in_head", "after_head", "in_body"] | None = None
    """Stop there, or after so many raw bytes (0: before answering)..."""
    stop: Literal["close", "reset", "stall"] = "close"
    """...in this way."""
    close: bool = False
    """Close after the answer and say so with `connection: close`."""
    close_idle: float | None = None
    """Close so many seconds after the answer without having said so."""
    early: bool = False
    """Answer when the request's head is there, without waiting for its body."""


@dataclass(eq=False)
class RecordedRequest:
    """What one request looked like and how its answer went. Times are `time.monotonic()`."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    connection: int
    """Equal for requests that shared a connection."""
    body: bytes = b""
    received_at: float = 0
    answer_bytes: int = 0
    """How many bytes of the answer were handed to the socket or its buffer."""
    completed_at: float | None = None
    """When the whole answer was written, or what was scripted of it."""
    disconnected_at: float | None = None
    """When the client went away before that."""

    @property
    def disconnected(self) -> bool:
        return self.disconnected_at is not None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)


def segments(request: RecordedRequest, behaviour: Behaviour) -> Iterator[tuple[float, bytes]]:
    """The raw response as (seconds to wait, bytes); the first segment is the head, 1xx included."""
    if behaviour.raw is not None:
        yield behaviour.head_delay, behaviour.raw
        return
    content_type, status, parts = _content(request, behaviour)
    streamed = content_type.startswith("text/event-stream")
    framing = behaviour.framing or ("close" if behaviour.version == "1.0" else "chunked" if streamed else "length")
    body = chain(parts)
    fields = [("server", "scripted"), ("content-type", content_type)]
    if framing == "length":
        parts = list(body)
        length = sum(map(len, parts)) if behaviour.content_length is None else behaviour.content_length
        fields.append(("content-length", str(length)))
        body = chain(parts)
    elif framing == "chunked":
        fields.append(("transfer-encoding", "chunked"))
        body = chain((b"%x\r\n%b\r\n" % (len(part), part) for part in body), [b"0\r\n\r\n"])
    if framing != "length" and behaviour.content_length is not None:
        fields.append(("content-length", str(behaviour.content_length)))
    if behaviour.close:
        fields.append(("connection", "close"))
    head = "".join(f"HTTP/1.1 {interim} Interim\r\nx-interim: yes\r\n\r\n" for interim in behaviour.interim)
    head += f"HTTP/{behaviour.version} {status} Scripted\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in [*fields, *behaviour.headers])
    yield behaviour.head_delay, head.encode("latin-1") + b"\r\n"
    if request.method != "HEAD" and status not in (204, 304):
        for part in body:
            yield (0 if part == b"0\r\n\r\n" else behaviour.chunk_delay), part


def _content(request: RecordedRequest, behaviour: Behaviour) -> tuple[str, int, Iterator[bytes] | list[bytes]]:
    """Content type, status and the parts of the body."""
    if behaviour.body is not None:
        body = behaviour.body
        if isinstance(body, dict):
            return "application/json", behaviour.status, [dump(body)]
        return "text/plain", behaviour.status, [body.encode() if isinstance(body, str) else body]
    if behaviour.events is not None:
        return "text/event-stream", behaviour.status, iter(behaviour.events)
    path = request.path.partition("?")[0]
    if path == "/health":
        return "text/plain", behaviour.status, []
    try:
        asked = json.loads(request.body or b"{}")
    except ValueError as error:
        return "application/json", 400, [dump(error_body(f"invalid JSON: {error}"))]
    if asked.get("stream") and path in ("/v1/chat/completions", "/v1/completions"):
        events = streamed_answer(path, asked, behaviour.content)
        if behaviour.error_event_after is not None:
            failure = error_body("the engine died", status=500, type="InternalServerError")
            events = chain(islice(events, behaviour.error_event_after), [sse(failure), b"data: [DONE]\n\n"])
        return "text/event-stream; charset=utf-8", behaviour.status, events
    answer = plain_answer(path, asked, behaviour.content)
    if answer is None:
        return "application/json", 404, [dump({"detail": "Not Found"})]
    return "application/json", behaviour.status, [dump(answer)]
