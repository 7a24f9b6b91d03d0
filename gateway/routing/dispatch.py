"""The order of attempts: an upstream of the route, others of it, the routes it falls back to.

All of it happens before the client has had a byte. Nothing is tried again that might have cost tokens, unless the route
says so; a fallback is tried whatever the failure cost, and what it may have cost is noted in the exchange.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.endpoints import Endpoint
from gateway.envelope import with_model
from gateway.routing.attempt import attempt
from gateway.routing.failure import FailedAttempt, class_of
from gateway.routing.retry import may_retry, wait_before
from gateway.routing.target import Target
from gateway.upstream import Header, UpstreamResponse
from gateway.upstream.failures import did_no_work
from sluice.errors import InvalidRequest, SluiceError

if TYPE_CHECKING:
    from gateway.exchange import Exchange
    from gateway.routing.route import Route


async def dispatch(
    route: "Route", exchange: "Exchange", endpoint: Endpoint, body: bytes, headers: Sequence[Header]
) -> UpstreamResponse:
    """The answer of the first upstream that has one.

    Raises:
        SluiceError: none has; it says what was tried.
    """
    plan = route.plan
    assert plan is not None
    if plan.shadow is not None:
        plan.shadow.copy(exchange, endpoint, body, headers)
    request = _Request(exchange, endpoint, body, headers, sent_model=route.targets[0].model)
    try:
        try:
            return await request.within(route)
        except SluiceError as error:
            failure = error
        for fallback in plan.follow(class_of(failure)):
            try:
                return await request.within(fallback)
            except SluiceError as error:
                # A fallback that cannot take the request at all says nothing about the failure before it.
                failure = failure if class_of(error) is None else error
        raise request.told(failure)
    except SluiceError:
        exchange.last_failure = request.last_failure  # which may be another than the client is told
        raise
    finally:
        request.tell_attempts(route)


class _Request:
    """One request on its way from attempt to attempt."""

    def __init__(
        self, exchange: "Exchange", endpoint: Endpoint, body: bytes, headers: Sequence[Header], *, sent_model: str
    ) -> None:
        self._exchange = exchange
        self._endpoint = endpoint
        self._body = body
        self._headers = headers
        self._sent_model = sent_model
        self._key = "" if exchange.identity is None else exchange.identity.key_id
        self._attempts = 0
        self._failed: list[FailedAttempt] = []

    @property
    def last_failure(self) -> SluiceError | None:
        """How the last attempt ended that was made."""
        return self._failed[-1].failure if self._failed else None

    async def within(self, route: "Route") -> UpstreamResponse:
        """The answer of one of this route's upstreams, each with its turn before one is asked again.

        Raises:
            SluiceError: the last attempt's failure, or that there was none to make.
        """
        retries = route.plan and route.plan.retries
        if retries is not None:
            retries.budget.deposit()
        tried: list[Target] = []
        target = self._pick(route, tried)
        while True:
            if target is None:
                raise self._nothing_to_try(route)
            try:
                return await self._attempt(target)
            except SluiceError as error:
                tried.append(target)
                if retries is None or len(tried) > retries.settings.attempts or not may_retry(error, retries.settings):
                    raise
                other = self._pick(route, tried)
                wait: float | None = 0
                if other is None and not target.is_open:
                    other, wait = target, wait_before(len(tried), error, retries.settings)
                if other is None or wait is None or not retries.take():
                    raise
                target = other
            if wait:
                await asyncio.sleep(wait)

    async def _attempt(self, target: Target) -> UpstreamResponse:
        if self._failed:
            await self._exchange.attempt_failed(self._failed[-1])
        self._exchange.target = target
        self._attempts += 1
        body = self._body if target.model == self._sent_model else with_model(self._body, target.model)
        began = time.monotonic()
        try:
            return await attempt(target, self._endpoint, body, self._headers, hold=True)
        except SluiceError as error:
            seconds = time.monotonic() - began
            self._failed.append(FailedAttempt(target.name, error, seconds, not did_no_work(error)))
            raise

    def _pick(self, route: "Route", tried: Sequence[Target]) -> Target | None:
        def usable(target: Target) -> bool:
            return target.serves(self._endpoint) and target not in tried and not target.is_open

        if route.plan is None:
            return next(filter(usable, route.targets), None)
        return route.plan.choice.pick(self._key, usable)

    def _nothing_to_try(self, route: "Route") -> SluiceError:
        able = [target for target in route.targets if target.serves(self._endpoint)]
        refusals = [target.breaker.refusal() for target in able if target.breaker is not None and target.is_open]
        if refusals:
            return min(refusals, key=lambda refusal: refusal.seconds)
        return InvalidRequest(f"The model '{route.name}' does not serve {self._endpoint.path}.", param="model")

    def told(self, failure: SluiceError) -> SluiceError:
        """The failure, for the client, with what was tried where that was more than this."""
        if any(attempt.failure is not failure for attempt in self._failed):
            tried = (f"{one.upstream} ({class_of(one.failure) or 'refused'})" for one in self._failed)
            failure.message = f"{failure.message} Tried: {', '.join(tried)}."
        return failure

    def tell_attempts(self, route: "Route") -> None:
        """The headers that say who answered, and after how many attempts."""
        target = self._exchange.target
        further: dict[bytes, bytes] = {}
        if target is not None and route.plan is not None and route.plan.has_alternatives:
            further[b"x-sluice-upstream"] = target.header
        if self._attempts > 1:
            further[b"x-sluice-attempts"] = b"%d" % self._attempts
        if further:
            self._exchange.headers = {**self._exchange.headers, **further}
