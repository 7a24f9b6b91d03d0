"""What the gateway reads of a request: the headers it needs, and the body within its limit."""

from starlette.types import Receive, Scope

from gateway.request_id import REQUEST_ID
from sluice.errors import RequestTooLarge, SluiceError

PARENT_HEADER = b"x-sluice-parent"
SESSION_HEADER = b"x-session-id"
"""What vLLM's router keeps on one replica; else it would go by the request's id, which is another each time."""
NOTED_HEADERS = frozenset({b"traceparent", b"tracestate", SESSION_HEADER, PARENT_HEADER})
"""All go upstream but the parent, which is the gateway's own."""


class ClientGone(SluiceError):
    """The client left before it had its answer. Nobody is there to read it; 499 stands in the usage record."""

    status = 499
    code = "client_gone"

    def __init__(self) -> None:
        super().__init__("The client closed the connection before it had its answer.")


def read_head(scope: Scope) -> tuple[bytes | None, int, list[tuple[bytes, bytes]], str | None]:
    """The bearer token, the announced length of the body (0 where none is), the headers that go upstream, and the
    parent's id, if it is one."""
    parent: str | None = None
    token: bytes | None = None
    length = 0
    forwarded: list[tuple[bytes, bytes]] = []
    for name, value in scope["headers"]:
        if name == b"authorization":
            if value[:7].lower() == b"bearer ":
                token = value[7:].strip()
        elif name == b"content-length":
            length = int(value)
        elif name in NOTED_HEADERS:
            if name == PARENT_HEADER:
                parent = value.decode() if REQUEST_ID.fullmatch(value) else None
            else:
                forwarded.append((name, value))
    return token, length, forwarded, parent


async def read_body(receive: Receive, content_length: int, limit: int) -> bytes:
    """The whole body, at most `limit` bytes.

    Raises:
        RequestTooLarge: more than that was announced or sent.
        ClientGone: the connection closed before the body was complete.
    """
    if content_length > limit:
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return message["body"]
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message["body"]
        if len(parts) > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return bytes(parts)
        message = await receive()
    raise ClientGone


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(
        f"The request's body is larger than {limit} bytes.", fix="Send less, or have gateway.limits.body_bytes raised."
    )
