"""One request on its way through the gateway, from its first byte to its usage record."""

import time
from collections.abc import Mapping
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gateway.endpoints import Endpoint
from gateway.metrics import Metrics
from gateway.request import ClientGone, Request
from gateway.request_id import new_request_id
from gateway.sse import EventCopy
from gateway.telemetry.telemetry import Telemetry
from gateway.tokens import NO_TOKENS, TokenUsage
from gateway.usage import UsageRecord, UsageWriter
from sluice.errors import SluiceError, UpstreamTimeout
from sluice.identity import Identity
from sluice.identity.money import NANO
from sluice.logs import HANDLED_REQUEST

if TYPE_CHECKING:
    from gateway.cache.recording import Recording
    from gateway.guard.answer import AnswerGuard
    from gateway.kept.bodies import KeptBody
    from gateway.metering.call import LeasedCall
    from gateway.routing.failure import FailedAttempt
    from gateway.routing.target import Target
    from gateway.telemetry.trace_context import TraceContext


class Exchange:
    """What is known of one request, and the single place where it ends.

    Runs in its request's task. `end` stops that task from outside: the client left, or the gateway goes down; `ending`
    then says why the task was cancelled. `status`, `error`, `duration` and `charged` tell how it ended, once it has.

    Attributes:
        guard: checks the answer, where a policy does; `recording` takes it down, where the cache may keep it; `kept`
            collects both bodies, where a policy keeps them.
        variables: what the client gave the stored prompt that it named.
        leased: what the call holds of its budgets and limits; `meters`: the response's headers that tell of them, rendered.
        charged_elsewhere: it costs nothing here: a service's answer (the calls that it makes with its caller's key do),
            and one that the cache had.
        headers: further ones of the response.
        trace: its span, where that is kept.
        first_byte: when the upstream's answer began; `first_token`: when a stream's first event went to the client.
        target: the upstream that was asked last; `failed_attempts` were made before that, in vain.
        last_failure: how its own attempt ended, where none was to follow.
        total_seconds: the most that all attempts together may take.
    """

    # Defaults stand on the class: most requests never change them, and setting them on each would cost a microsecond.
    identity: Identity | None = None
    route = ""
    usage: TokenUsage | None = None
    copy: EventCopy | None = None
    first_byte: float | None = None
    first_token: float | None = None
    trace: "TraceContext | None" = None
    kept: "KeptBody | None" = None
    status = 0
    error: str | None = None
    duration = 0.0
    charged = 0
    leased: "LeasedCall | None" = None
    charged_elsewhere = False
    cache: str | None = None
    headers: Mapping[bytes, bytes] = MappingProxyType({})
    meters = b""
    parent_id: str | None = None
    prompt: str | None = None
    variables: Mapping[str, Any] | None = None
    policy: str | None = None
    verdicts: str | None = None
    guard: "AnswerGuard | None" = None
    recording: "Recording | None" = None
    response_started = False
    ending: SluiceError | None = None
    target: "Target | None" = None
    failed_attempts: "tuple[FailedAttempt, ...]" = ()
    last_failure: SluiceError | None = None
    total_seconds = inf
    closed = False

    def __init__(
        self, request: Request, endpoint: Endpoint, usage_writer: UsageWriter, metrics: Metrics, telemetry: Telemetry
    ) -> None:
        self.request = request
        self.endpoint = endpoint
        self.request_id = new_request_id()
        HANDLED_REQUEST.set(self.request_id)
        self.started = request.started
        self.usage_writer = usage_writer
        self._metrics = metrics
        self._telemetry = telemetry
        request.on_gone = self._client_left

    def end_if_late(self, now: float) -> None:
        """Called once a second (`time.perf_counter`): stop working on an answer that takes too long."""
        if now - self.started > self.total_seconds:
            self.end(UpstreamTimeout(f"The answer was not complete within {self.total_seconds:g} s (total_seconds)."))

    def _client_left(self) -> None:
        self.end(ClientGone())

    def end(self, reason: SluiceError) -> None:
        """Stop working on this request; safe at any time, also when it is over."""
        if not self.closed and self.ending is None:
            self.ending = reason
            self.request.task.cancel()

    @property
    def upstream(self) -> str:
        """The name of the upstream that was asked last; empty before that."""
        return "" if self.target is None else self.target.name

    async def attempt_failed(self, attempt: "FailedAttempt") -> None:
        """Note an attempt that gave no answer, before another is made.

        Raises:
            SluiceError: it may have cost tokens, and what is left does not allow for another.
        """
        self.failed_attempts = (*self.failed_attempts, attempt)
        if attempt.may_have_cost and self.leased is not None:
            await self.leased.renew(attempt.seconds)

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
        self.status, self.error = status, error
        self.duration = duration = time.perf_counter() - self.started
        usage = self.token_usage()
        charged, cost = 0 if self.charged_elsewhere else usage.total_tokens, 0
        price = self.target and self.target.price
        if self.leased is not None:
            reported = self.usage or (self.copy and self.copy.usage)
            charged, cost = self.leased.settle(reported, self.copy, self.last_failure or failure, price)
            self.meters = self.leased.headers()
        elif price is not None and not self.charged_elsewhere:
            cost = price.cost(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens or 0)
        if price is not None:
            self.meters += b"x-sluice-cost: %d.%09d\r\n" % divmod(cost, NANO)
        self.charged = charged
        if self.recording is not None:
            self.recording.end(self, status, error)
        if self.identity is not None:
            self.usage_writer.record(
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
                    self.target and self.target.name,
                    self.cache,
                )
            )
        self._metrics.totals_of(self.route, self.endpoint.name).add(
            status,
            self._metrics.code_of(status, error),
            duration,
            self.first_byte and self.first_byte - self.started,
            self.first_token and self.first_token - self.started,
            usage,
        )
        if self.kept is not None:
            self.kept.end()
        self._telemetry.end(self)

    @property
    def failed(self) -> bool:
        """Whether it ended by a failure of the gateway or the upstream, also in the middle of a stream."""
        return self.status >= 500 or (self.error is not None and self.status < 400)

    def token_usage(self) -> TokenUsage:
        """What the upstream reported; for a stream that broke off, at least the events it had sent."""
        if self.usage is not None:
            return self.usage
        if self.copy is None:
            return NO_TOKENS
        return self.copy.usage or TokenUsage(completion_tokens=self.copy.events)
