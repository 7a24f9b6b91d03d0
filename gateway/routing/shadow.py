"""Shadow traffic: a copy of some requests for another route, whose answers are read and thrown away.

It delays and fails nobody: copies run in the background, a few at once, and end when the gateway stops. What they use is
recorded under the caller's key as requests of their own, charged with nothing.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gateway.endpoints import Endpoint
from gateway.envelope import with_model
from gateway.request_id import new_request_id
from gateway.routing.attempt import attempt
from gateway.routing.target import Target
from gateway.sse import EVENT_STREAM, EventCopy
from gateway.tokens import NO_TOKENS, TokenUsage, usage_of
from gateway.upstream import Header, UpstreamResponse
from gateway.usage import UsageRecord
from sluice.errors import SluiceError
from sluice.route_settings import ShadowSettings

if TYPE_CHECKING:
    from gateway.exchange import Exchange
    from gateway.routing.route import Route

SHADOW = "shadow"
"""Stands as the error in the usage records of copies, which tells them from what clients asked."""


class Shadow:
    """What one route sends to another in the background.

    Args:
        route: where the copies go; one attempt each, nothing is tried again.
        sent_model: the model's name in the bodies to copy.
        draw: a number from 0 to below 1.

    Attributes:
        sent: copies so far; `left_out`: those there was no room for.
    """

    def __init__(
        self, settings: ShadowSettings, route: "Route", sent_model: str, draw: Callable[[], float] = random.random
    ) -> None:
        self._settings = settings
        self._sent_model = sent_model
        self._draw = draw
        self._copies: set[asyncio.Task[None]] = set()
        self.route = route
        self.sent = self.left_out = 0

    def copy(self, exchange: "Exchange", endpoint: Endpoint, body: bytes, headers: Sequence[Header]) -> None:
        """Send a copy, if this request is one of the share and there is room."""
        if self._draw() >= self._settings.share:
            return
        target = self.route.any_target(endpoint)
        if target is None or len(self._copies) >= self._settings.at_once:
            self.left_out += 1
            return
        self.sent += 1
        task = asyncio.get_running_loop().create_task(self._answer(exchange, target, endpoint, body, headers))
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    async def close(self) -> None:
        """End the copies that are on their way."""
        copies = list(self._copies)
        for task in copies:
            task.cancel()
        await asyncio.gather(*copies, return_exceptions=True)

    async def _answer(
        self, exchange: "Exchange", target: Target, endpoint: Endpoint, body: bytes, headers: Sequence[Header]
    ) -> None:
        request_id = new_request_id()
        kept = [header for header in headers if header[0] != b"x-request-id"]
        answer = _Answer()
        started, began = time.time(), time.perf_counter()
        try:
            body = body if target.model == self._sent_model else with_model(body, target.model)
            async with asyncio.timeout(self.route.total_seconds):
                response = await attempt(target, endpoint, body, [*kept, (b"x-request-id", request_id.encode())])
                try:
                    await answer.take(response)
                finally:
                    response.close()
        except SluiceError as error:
            answer.status = error.status
        except TimeoutError:
            answer.status = 504
        finally:
            usage = answer.usage
            assert exchange.identity is not None
            exchange.usage_writer.record(
                UsageRecord(
                    request_id,
                    exchange.identity.key_id,
                    self.route.name,
                    endpoint.name,
                    answer.status,
                    SHADOW,
                    answer.streamed,
                    usage.prompt_tokens,
                    usage.cached_tokens,
                    usage.completion_tokens or 0,
                    started,
                    round((time.perf_counter() - began) * 1000, 3),
                    None,
                    charged_tokens=0,
                    parent_id=exchange.request_id,
                )
            )


class _Answer:
    """What is kept of an answer that nobody reads."""

    def __init__(self) -> None:
        self.status = 499
        self.streamed = False
        self.usage: TokenUsage = NO_TOKENS

    async def take(self, response: UpstreamResponse) -> None:
        """Read it to its end."""
        if not response.content_type.startswith(EVENT_STREAM):
            self.usage = usage_of(await response.read()) or NO_TOKENS
        else:
            self.streamed = True
            copy = EventCopy(hide_usage=False)
            while not copy.done and (piece := await response.chunk()):
                copy.feed(piece)
                self.usage = copy.usage or TokenUsage(completion_tokens=copy.events)
        self.status = response.status
