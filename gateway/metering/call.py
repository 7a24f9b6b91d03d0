"""What one call holds of its budgets and limits, from its lease to its settlement."""

import logging
import time
from dataclasses import replace

import msgspec

from gateway.metering.lease import Ask, Lease, Rate, RateKind
from gateway.metering.lease_journal import LeaseJournal, OpenLease
from gateway.metering.ledger import Ledger
from gateway.metering.stream import IN_FLIGHT_TOKENS, LeasedCopy
from gateway.price import Price
from gateway.sse import EventCopy
from gateway.tokens import TokenUsage
from gateway.upstream.failures import did_no_work
from sluice.errors import BudgetExhausted, SluiceError
from sluice.identity import Budget
from sluice.identity.budgets import MOST

log = logging.getLogger(__name__)

MARKS = ((b"limit", b"%d"), (b"remaining", b"%d"), (b"reset", b"%b"))
"""OpenAI's headers of a limit, and how each is written."""
FASTEST = 1_000
"""Tokens a second that an engine writes of one answer at most; counts for a plain answer that never came."""


class LeasedCall:
    """A lease with what it was taken for.

    Args:
        noted: its line in the journal; None where it has none.
        most: tokens that all answers together may have; 0: nobody counts them.
    """

    __slots__ = (
        *("_ask", "_began", "_failed_money", "_failed_tokens", "_given_up", "_journal", "_ledger", "_most", "_noted"),
        *("_request_rates", "lease"),
    )

    def __init__(
        self, ledger: Ledger, lease: Lease, ask: Ask, journal: LeaseJournal, noted: OpenLease | None, *, most: int
    ) -> None:
        self.lease = lease
        self._ledger = ledger
        self._ask = ask
        self._journal = journal
        self._most = most
        self._noted = noted
        self._request_rates: list[tuple[RateKind, Rate]] = []
        self._failed_tokens = self._failed_money = 0
        self._given_up = False
        self._began = time.perf_counter()

    def copy(self, *, hide_usage: bool) -> EventCopy:
        """The side copy of this call's stream."""
        if not self._most:
            return EventCopy(hide_usage=hide_usage)
        return LeasedCopy(hide_usage=hide_usage, choices=self._ask.choices, most=self._most)

    async def renew(self, seconds: float) -> None:
        """Book an attempt that gave no answer at the most that it can have cost in so many seconds, and hold as much
        again for another attempt.

        Raises:
            SluiceError: as `Ledger.lease`, where there is not that much.
        """
        plan, ask, held = self.lease.plan, self._ask, self.lease
        tokens, money = self._at_most(ask.choices * (int(FASTEST * seconds) + IN_FLIGHT_TOKENS), plan.price)
        if not self._given_up:
            held.settle(tokens, money)
            self._failed_tokens += tokens
            self._failed_money += money
        self._given_up = True  # unless what follows is granted
        self._ask = ask = replace(ask, request_id=f"{ask.request_id}+", completion=held.completion, exact=True)
        # It is one request, however many attempts it takes.
        self._request_rates = self._request_rates or [rate for rate in held.rates() if rate[0] == "requests"]
        plan = replace(plan, limits=tuple(limit for limit in plan.limits if limit.what != "requests"), opened=None)
        lease = await self._ledger.lease(plan, ask)
        if lease.limited_by is not None:  # the answer cannot be made shorter any more
            lease.settle(0, 0)
            raise BudgetExhausted(f"After a failed attempt, {lease.limited_by.id} has too little left for another.")
        self.lease = lease
        self._given_up = False
        self._began = time.perf_counter()
        if self._noted is not None:
            failed = (self._failed_tokens, self._failed_money)
            whole = {"tokens": failed[0] + lease.tokens, "money": failed[1] + lease.money}
            parts = {"attempt": ask.request_id, "failed_tokens": failed[0], "failed_money": failed[1]}
            self._journal.add(msgspec.structs.replace(self._noted, **whole, **parts))

    def settle(
        self, reported: TokenUsage | None, copy: EventCopy | None, failure: SluiceError | None, price: Price | None
    ) -> tuple[int, int]:
        """Book the call, once; the tokens and the money it is charged.

        Args:
            price: of the upstream that answered.
        """
        tokens, money = (0, 0) if self._given_up else self._charge(reported, copy, failure, price)
        if tokens > self.lease.tokens and self.lease.plan.counts_tokens:
            log.error("The upstream used %d tokens on a call that had leased %d.", tokens, self.lease.tokens)
        if self._noted is not None:
            self._journal.forget(self._noted.request_id)
        self.lease.settle(tokens, money)
        return tokens + self._failed_tokens, money + self._failed_money

    def headers(self) -> bytes:
        """What the client is told of its budgets and limits, rendered."""
        lease = self.lease
        lines = b""
        for kind, rate in (*self._request_rates, *lease.rates()):
            lines += rate_headers(kind, *rate)
        if (left := lease.left) is not None:
            lines += LEFT % left
        if lease.limited_by is not None:
            what = b"budget" if isinstance(lease.limited_by, Budget) else b"limit"
            lines += b"x-sluice-%b: limited; %b\r\n" % (what, lease.limited_by.id.encode())
        elif lease.uncounted:
            lines += b"x-sluice-budget: uncounted\r\n"
        elif lease.exceeded is not None:
            lines += b"x-sluice-budget: exceeded; %b\r\n" % lease.exceeded.id.encode()
        return lines

    def _charge(
        self, reported: TokenUsage | None, copy: EventCopy | None, failure: SluiceError | None, price: Price | None
    ) -> tuple[int, int]:
        """What was reported of the whole; without that, the most that the engine can have used, within the lease."""
        lease, ask = self.lease, self._ask
        if copy is not None and copy.cut:
            return lease.tokens, lease.money
        if reported is not None and (copy is None or copy.whole):
            cached, completion = reported.cached_tokens, reported.completion_tokens or 0
            money = 0 if price is None else min(MOST, price.cost(reported.prompt_tokens, cached, completion))
            return reported.total_tokens, money
        if failure is not None and did_no_work(failure):
            return 0, 0
        now = time.perf_counter()
        if isinstance(copy, LeasedCopy):
            written = copy.at_most_written(now)
        else:
            written = ask.choices * (int(FASTEST * (now - self._began)) + IN_FLIGHT_TOKENS)
        so_far = 0 if reported is None else reported.total_tokens
        return self._at_most(max(written, so_far - ask.prompt), price)

    def _at_most(self, written: int, price: Price | None) -> tuple[int, int]:
        """What a call that wrote so much can have cost, within its lease."""
        lease, prompt = self.lease, self._ask.prompt
        money = 0 if price is None else min(lease.money, price.cost(prompt, 0, written))
        return min(lease.tokens, prompt + written), money


LEFT = b"x-sluice-budget-remaining: %d\r\n"
RATES: dict[str, bytes] = {
    kind: b"".join(b"x-ratelimit-%b-%b: %b\r\n" % (what, kind.encode(), mark) for what, mark in MARKS)
    for kind in ("requests", "tokens")
}


def rate_headers(kind: str, limit: int, remaining: int, reset_seconds: float) -> bytes:
    """What OpenAI tells of a limit, rendered."""
    return RATES[kind] % (limit, remaining, shown_seconds(reset_seconds))


def shown_seconds(seconds: float) -> bytes:
    """As OpenAI writes them: `20ms`, `8.64s`, `6m0s`."""
    milliseconds = -int(-seconds * 1000 // 1)
    if milliseconds < 1_000:
        return b"%dms" % milliseconds
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:g}s".encode()
    whole = -(-milliseconds // 1000)
    return b"%dm%ds" % (whole // 60, whole % 60)
