"""One request on its way through the gateway, from its first byte to its usage record."""

import asyncio
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from starlette.types import Receive

from gateway.endpoints import Endpoint
from gateway.metrics import Metrics
from gateway.protocol import DirectResponse
from gateway.request import ClientGone
from gateway.request_id import new_request_id
from gateway.sse import EventCopy
from gateway.tokens import NO_TOKENS, TokenUsage
from gateway.usage import UsageRecord, UsageWriter
from sluice.errors import RequestTimeout, SluiceError
from sluice.identity import Identity

if TYPE_CHECKING:
    from gateway.guard.answer import AnswerGuard
    from gateway.metering.call import LeasedCall


class Exchange:
    """What is known of one request, and the single place where it ends.

    Runs in the task that created it. `end` stops that task from outside: the client left, its body is too slow, or the
    gateway goes down; `ending` then says why the task was cancelled. `receive`, once the body is there, is where the
    client's departure shows. `direct` is the server's short way to the client, if it has one. `guard` checks the answer,
    where a policy does. `variables` are what the client gave the stored prompt that it named. `leased` is what the call
    holds of its key's budgets; a service's answer is `charged_elsewhere`: on the calls it makes with its caller's key.
    `headers` are further ones of the response.
    """

    # Defaults stand on the class: most requests never change them, and setting them on each would cost a microsecond.
    identity: Identity | None = None
    route = ""
    receive: Receive | None = None
    usage: TokenUsage | None = None
    copy: EventCopy | None = None
    first_byte: float | None = None
    leased: "LeasedCall | None" = None
    charged_elsewhere = False
    headers: Mapping[bytes, bytes] = MappingProxyType({})
    parent_id: str | None = None
    prompt: str | None = None
    variables: Mapping[str, Any] | None = None
    policy: str | None = None
    verdicts: str | None = None
    guard: "AnswerGuard | None" = None
    response_started = False
    ending: SluiceError | None = None
    closed = False
    _watch: asyncio.Task[None] | None = None

    def __init__(
        self,
        endpoint: Endpoint,
        loop: asyncio.AbstractEventLoop,
        direct: DirectResponse | None,
        body_seconds: float,
        usage_writer: UsageWriter,
        metrics: Metrics,
    ) -> None:
        self._task = asyncio.current_task(loop)
        self._usage_writer = usage_writer
        self._metrics = metrics
        self.request_id = new_request_id()
        self.endpoint = endpoint
        self.direct = direct
        self.started = time.perf_counter()
        self._body_deadline = self.started + body_seconds

    def sweep(self, now: float) -> None:
        """Called every few milliseconds: end a body that is late, and begin to watch a client that has to wait."""
        if self.receive is not None:
            if self._watch is None:
                self._watch = asyncio.get_running_loop().create_task(self._end_when_gone(self.receive))
        elif now > self._body_deadline:
            self.end(RequestTimeout("The request's body did not arrive in time."))

    async def _end_when_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end(ClientGone())

    def end(self, reason: SluiceError) -> None:
        """Stop working on this request; safe at any time, also when it is over."""
        if not self.closed and self.ending is None and self._task is not None:
            self.ending = reason
            self._task.cancel()

    def close(self, status: int, error: str | None = None, *, failure: SluiceError | None = None) -> None:
        """Record what the request used, once; called before the client has the end of its answer.

        Args:
            status: the HTTP status sent, 499 when the client left.
            error: the code of the error that the client was told, in the body or in the stream.
            failure: that error itself, where it is one of ours.
        """
        if self.closed:
            return
        self.closed = True
        if self._watch is not None:
            self._watch.cancel()
        duration = time.perf_counter() - self.started
        usage = self._token_usage()
        charged, cost = 0 if self.charged_elsewhere else usage.total_tokens, 0
        if self.leased is not None:
            charged, cost = self.leased.settle(self.usage or (self.copy and self.copy.usage), self.copy, failure)
            self.headers = {**self.headers, **self.leased.headers()}
        if self.identity is not None:
            self._usage_writer.record(
                UsageRecord(
                    self.request_id,
                    self.identity.key_id,
                    self.route,
                    self.endpoint.name,
                    status,
                    error,
                    self.copy is not None,
                    usage.prompt_tokens,
                    usage.cached_tokens,
                    usage.completion_tokens or 0,
                    time.time() - duration,
                    round(duration * 1000, 3),
                    self.first_byte and round((self.first_byte - self.started) * 1000, 3),
                    charged,
                    self.parent_id,
                    self.prompt,
                    self.policy,
                    self.verdicts,
                    cost,
                )
            )
        totals = self._metrics.totals_of(self.route, self.endpoint.name)
        totals.add(status, duration, self.first_byte and self.first_byte - self.started, usage)

    def _token_usage(self) -> TokenUsage:
        """What the upstream reported; for a stream that broke off, at least the events it had sent."""
        if self.usage is not None:
            return self.usage
        if self.copy is None:
            return NO_TOKENS
        return self.copy.usage or TokenUsage(completion_tokens=self.copy.events)
