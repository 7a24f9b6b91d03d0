"""One attempt at one upstream."""

import time
from collections.abc import Sequence

from gateway.endpoints import Endpoint
from gateway.routing.first_token import AwaitedStream
from gateway.routing.target import Target
from gateway.sse import EVENT_STREAM
from gateway.upstream import Header, UpstreamResponse
from gateway.upstream_errors import error_of
from sluice.errors import SluiceError


async def attempt(
    target: Target, endpoint: Endpoint, body: bytes, headers: Sequence[Header], *, hold: bool = False
) -> UpstreamResponse:
    """Ask an upstream, and return when its answer has begun.

    Args:
        hold: begun means more than the head: a stream's first token, a plain answer's end. Until then a failure is this
            attempt's, and another may follow; the client would not have anything from the head alone.

    Raises:
        SluiceError: there is no answer. What failed is counted already.
    """
    permit = target.enter()
    began = time.monotonic()
    try:
        response = await target.upstream.request("POST", endpoint.upstream_path, body, headers)
        try:
            if response.status >= 300:
                raise error_of(response.status, await response.read(), response.headers)
            if response.content_type.startswith(EVENT_STREAM):
                response = AwaitedStream(response, target.name, target.first_token_seconds, began)
                if hold:
                    await response.hold()
            elif hold:
                response = ReadAnswer(response, await response.read())
        except BaseException:
            response.close()
            raise
    except SluiceError as error:
        target.failed(permit, error)
        raise
    except BaseException:
        target.cancelled(permit)
        raise
    target.succeeded(permit)
    return response


class ReadAnswer:
    """A plain answer that has come whole; implements `UpstreamResponse`."""

    def __init__(self, response: UpstreamResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.content_type = response.content_type
        self.idle_seconds = response.idle_seconds
        self._response = response
        self._body = body

    async def read(self) -> bytes:
        body, self._body = self._body, b""
        return body

    chunk = read

    def close(self) -> None:
        self._response.close()
