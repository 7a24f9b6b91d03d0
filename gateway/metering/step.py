"""The step before the upstream: hold what the call may come to, and have the engine keep to it."""

import asyncio
import logging
from collections import OrderedDict
from hashlib import sha256

import msgspec
from sqlalchemy import Engine

from gateway.envelope import Envelope, with_model
from gateway.exchange import Exchange
from gateway.metering.call import LEFT, LeasedCall, rate_headers
from gateway.metering.demand import Demand, read_demand
from gateway.metering.lease import MOST_TOKENS, Ask, Lease, NeedsCount, Unopened
from gateway.metering.lease_journal import LeaseJournal, OpenLease
from gateway.metering.ledger import Ledger
from gateway.metering.plan import Plan, make_plan
from gateway.metering.spent import SpentReader
from gateway.routing import Route, price_of
from gateway.tokens import Tokens
from gateway.upstream import Upstream
from gateway.usage import UsageWriter
from sluice.errors import BudgetExhausted, RateLimited, SluiceError
from sluice.identity import Budget, Identity, Keyring

log = logging.getLogger(__name__)

TOKENIZE_SECONDS = 5
UNKNOWN_COMPLETION = 4_096
"""Tokens of an answer that neither the request nor a known context limits."""
PLANS = 10_000
COUNTS = 10_000
"""Prompts whose counts are remembered, by their digest."""


class _Tokenized(msgspec.Struct):
    count: Tokens
    max_model_len: Tokens | None = None


_tokenized = msgspec.json.Decoder(_Tokenized)


class MeteringStep:
    """Leases for requests that budgets or limits apply to; all others it lets pass."""

    def __init__(
        self, keyring: Keyring, engine: Engine, usage_writer: UsageWriter, ledger: Ledger, journal: LeaseJournal
    ) -> None:
        self.ledger = ledger
        self._keyring = keyring
        self._journal = journal
        self._spent = SpentReader(ledger, engine, usage_writer)
        self._plans: OrderedDict[tuple[str, str], Plan] = OrderedDict()
        self._contexts: dict[str, tuple[int, int]] = {}
        self._counts: OrderedDict[tuple[str, bytes], int] = OrderedDict()
        self._without_tokenizer: set[str] = set()

    async def lease(
        self, exchange: Exchange, identity: Identity, route: Route, envelope: Envelope, body: bytes
    ) -> bytes:
        """Give the exchange its lease, and the body to send: the same, or with a lower limit for the answer.

        Raises:
            BudgetExhausted: not even one token of an answer fits.
            RateLimited: the call comes too early.
            InvalidRequest: a limit in the body is not a whole number, or its prompt has no bound.
            StateUnavailable: the ledger is lost, or what was spent cannot be read.
        """
        plan = self._plan(identity, route)
        if not plan.applies:
            return body
        if not plan.counts_tokens:
            ask = Ask(exchange.request_id, 0, 0, 0, exact=True)
            self._begin(exchange, await self._take(exchange, plan, ask), ask, most=0)
            return body
        demand = read_demand(envelope, exchange.endpoint)
        if demand.unsaid:
            body = demand.said(body)
        context, reach = self._context(route)
        ask = _ask(exchange.request_id, demand, reach)
        try:
            if reach is None and demand.completion is None:
                raise NeedsCount  # which tells the context too
            lease = await self._take(exchange, plan, ask)
        except NeedsCount:
            counted = await self._count(route, demand, body)
            context, reach = self._context(route)
            ask = _ask(exchange.request_id, demand, reach, counted, exact=True)
            lease = await self._take(exchange, plan, ask)
        limit = None
        if lease.limited_by is not None:
            limit = lease.completion
            if context is not None and demand.prompts == 1:  # of several nobody knows how long each is
                limit = max(1, min(limit, context - ask.prompt))
        elif demand.completion is None and reach is None:
            limit = UNKNOWN_COMPLETION
        most = next((most for most in (limit, demand.completion, reach) if most is not None), 0)
        self._begin(exchange, lease, ask, most=demand.choices * most)
        return body if limit is None else demand.limited(body, limit)

    async def used(self, budget: Budget) -> tuple[int, int]:
        """What of a budget is spent in the window that is now, and what calls under way hold.

        Raises:
            StateUnavailable: the ledger is lost, or what was spent cannot be read.
        """
        used = await self.ledger.used(budget)
        if used is None:
            await self._spent.open([budget])
            used = await self.ledger.used(budget)
        return used or (0, 0)

    def _plan(self, identity: Identity, route: Route) -> Plan:
        key = (identity.key_id, route.name)
        plan = self._plans.get(key)
        if plan is None or plan.identity is not identity:  # it changed, or what it is counted by
            plan = self._plans[key] = make_plan(identity, route.name, price_of(route), self._keyring.meters)
            if len(self._plans) > PLANS:
                self._plans.popitem(last=False)
        return plan

    def _context(self, route: Route) -> tuple[int | None, int | None]:
        """Tokens of prompt and answer together: the least of the upstreams that may answer, and the most."""
        least, most = self._contexts.get(route.name, (None, None))
        return route.context or least, route.reach or most

    async def _take(self, exchange: Exchange, plan: Plan, ask: Ask) -> Lease:
        try:
            try:
                return await self.ledger.lease(plan, ask)
            except Unopened as unopened:
                await self._spent.open(unopened.budgets)
            return await self.ledger.lease(plan, ask)
        except BudgetExhausted as error:
            if error.left is not None:
                exchange.meters = LEFT % error.left
            raise
        except RateLimited as error:
            if error.reached is not None:
                exchange.meters = rate_headers(*error.reached)
            raise

    def _begin(self, exchange: Exchange, lease: Lease, ask: Ask, *, most: int) -> None:
        plan = lease.plan
        noted = None
        if plan.budgets:
            call = (exchange.request_id, plan.identity.key_id, exchange.route, exchange.endpoint.name)
            noted = OpenLease(*call, lease.tokens, lease.money, self.ledger.clock())
            self._journal.add(noted)
        exchange.leased = LeasedCall(self.ledger, lease, ask, self._journal, noted, most=most)

    async def _count(self, route: Route, demand: Demand, body: bytes) -> int | None:
        """The prompt's tokens as the engines themselves count them, the most where several may answer; None where they
        do not say."""
        asked = demand.to_tokenize(body) if demand.choices else None
        if asked is None or not route.tokenizers or route.name in self._without_tokenizer:
            return None
        key = (route.name, sha256(asked).digest())
        if (known := self._counts.get(key)) is not None:
            self._counts.move_to_end(key)
            return known
        counted = 0
        contexts: list[int] = []
        for model, tokenizer in route.tokenizers:
            tokenized = await self._tokenize(route, tokenizer, with_model(asked, model))
            if tokenized is None:
                return None
            counted = max(counted, tokenized.count)
            contexts += [tokenized.max_model_len] if tokenized.max_model_len else []
        if contexts:
            self._contexts[route.name] = (min(contexts), max(contexts))
        self._counts[key] = counted
        if len(self._counts) > COUNTS:
            self._counts.popitem(last=False)
        return counted

    async def _tokenize(self, route: Route, tokenizer: Upstream, asked: bytes) -> _Tokenized | None:
        try:
            async with asyncio.timeout(TOKENIZE_SECONDS):
                response = await tokenizer.request("POST", "/tokenize", asked)
                try:
                    answer = await response.read()
                finally:
                    response.close()
            if response.status in (404, 405):
                self._without_tokenizer.add(route.name)
            return _tokenized.decode(answer) if response.status == 200 else None
        except (SluiceError, TimeoutError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            log.debug("%s does not count the tokens of a prompt: %s", route.name, error)
            return None


def _ask(
    request_id: str, demand: Demand, context: int | None, counted: int | None = None, *, exact: bool = False
) -> Ask:
    """What the call may come to.

    Args:
        counted: tokens of the prompt, where they were counted.
        exact: there is no better count.
    """
    prompt = demand.prompt if counted is None else counted
    if context is not None:
        prompt = min(prompt, demand.prompts * (context - 1))
    choices = min(demand.choices, MOST_TOKENS)
    most = MOST_TOKENS // choices if choices else 0
    if demand.completion is not None:
        return Ask(request_id, prompt, choices, min(demand.completion, most), exact=exact)
    if context is not None:  # an answer may be as long as the prompt is short: how short, only a count tells
        return Ask(request_id, prompt, choices, min(context, most), most=choices * context, exact=exact)
    return Ask(request_id, prompt, choices, min(UNKNOWN_COMPLETION, most), exact=exact)
