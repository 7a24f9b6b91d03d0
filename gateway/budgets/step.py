"""The step before the upstream: hold of a key's budgets what the call may come to, and have the engine keep to it."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Engine

from gateway.budgets.call import LeasedCall, remaining
from gateway.budgets.demand import Demand, read_demand
from gateway.budgets.ledger import Ledger
from gateway.budgets.refusal import refusal
from gateway.budgets.spent import SpentReader
from gateway.exchange import Exchange
from gateway.routing import Route
from gateway.usage import UsageWriter
from sluice.errors import SluiceError, StateUnavailable
from sluice.identity import Budget

log = logging.getLogger(__name__)

TOKENIZE_SECONDS = 5
UNKNOWN_COMPLETION = 4_096
"""Tokens of an answer that neither the request nor a known context limits."""


class _Tokenized(msgspec.Struct):
    count: int
    max_model_len: int | None = None


_tokenized = msgspec.json.Decoder(_Tokenized)


class BudgetStep:
    """Leases for requests whose key has budgets; others never come here.

    Args:
        workers: of the gateway; the ledger is this process's own, so several would each spend the whole budget.
        clock: seconds since 1970.
    """

    def __init__(
        self, engine: Engine, usage_writer: UsageWriter, workers: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.ledger = Ledger()
        self._spent = SpentReader(self.ledger, engine, usage_writer)
        self._workers = workers
        self._clock = clock
        self._contexts: dict[str, int] = {}
        self._without_tokenizer: set[str] = set()

    async def lease(self, exchange: Exchange, budgets: Sequence[Budget], route: Route, body: bytes) -> bytes:
        """Give the exchange its lease, and the body to send: the same, or with a lower limit for the answer.

        Raises:
            BudgetExhausted: not even one token of an answer fits.
            InvalidRequest: a limit in the body is not a whole number, or its prompt has no bound.
            StateUnavailable: several gateway workers, or what was spent cannot be read.
        """
        if self._workers > 1:
            raise StateUnavailable(
                f"The key has a budget, which one gateway worker can count and {self._workers} cannot.",
                fix="Ask the operator to set gateway.workers to 1.",
            )
        now = self._clock()
        if any(self.ledger.account(budget, now) is None for budget in budgets):
            await self._spent.open(budgets, now)
        demand = read_demand(body, exchange.endpoint)
        context = route.context or self._contexts.get(route.name)
        prompt = demand.prompt if context is None else min(demand.prompt, context - 1)
        fits = _largest(demand, prompt, context) <= self.ledger.available(budgets, self._clock())
        if demand.choices and not (fits and (demand.completion or context)):
            prompt = await self._count(route, demand) or prompt
            context = context or self._contexts.get(route.name)
        return self._take(exchange, budgets, demand, prompt, context)

    def _take(
        self, exchange: Exchange, budgets: Sequence[Budget], demand: Demand, prompt: int, context: int | None
    ) -> bytes:
        """Take the lease. Nothing waits here, so nobody comes between what is available and what is taken."""
        now = self._clock()
        available = self.ledger.available(budgets, now)
        tokens, limited_by, limit = _largest(demand, prompt, context), None, None
        if tokens > available:
            limited_by = self.ledger.tightest(budgets, now)
            limit = (available - prompt) // demand.choices if demand.choices else 0
            if limit < 1:
                exchange.headers = {**exchange.headers, **remaining(available)}
                raise refusal(self.ledger, budgets, prompt, demand.choices, now)
            if context is not None:
                limit = max(1, min(limit, context - prompt))
            tokens = prompt + demand.choices * limit
        elif demand.completion is None and context is None:
            limit = UNKNOWN_COMPLETION
        lease = self.ledger.lease(budgets, tokens, now)
        assert lease is not None
        exchange.leased = LeasedCall(
            self.ledger,
            budgets,
            lease,
            prompt=prompt,
            choices=demand.choices,
            most=demand.choices * next((most for most in (limit, demand.completion, context) if most is not None), 0),
            limited_by=limited_by,
            clock=self._clock,
        )
        exchange.headers = {**exchange.headers, **exchange.leased.headers()}
        return demand.body if limit is None else demand.limited(limit)

    async def _count(self, route: Route, demand: Demand) -> int | None:
        """The prompt's tokens as the engine itself counts them; None where it does not say."""
        body = demand.to_tokenize()
        if route.tokenizer is None or body is None or route.name in self._without_tokenizer:
            return None
        try:
            async with asyncio.timeout(TOKENIZE_SECONDS):
                response = await route.tokenizer.request("POST", "/tokenize", body)
                try:
                    answer = await response.read()
                finally:
                    response.close()
            if response.status in (404, 405):
                self._without_tokenizer.add(route.name)
            if response.status != 200:
                return None
            tokenized = _tokenized.decode(answer)
        except (SluiceError, TimeoutError, msgspec.MsgspecError) as error:
            log.debug("%s does not count the tokens of a prompt: %s", route.name, error)
            return None
        if tokenized.max_model_len is not None:
            self._contexts[route.name] = tokenized.max_model_len
        return tokenized.count


def _largest(demand: Demand, prompt: int, context: int | None) -> int:
    """The most tokens that the call can come to if nothing but the request and the model limits it."""
    if demand.completion is not None:
        return prompt + demand.choices * demand.completion
    if context is not None:
        return demand.choices * context
    return prompt + demand.choices * UNKNOWN_COMPLETION
