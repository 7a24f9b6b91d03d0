"""What one call holds of its key's budgets, from its lease to its settlement."""

import logging
import time
from collections.abc import Callable, Sequence

from gateway.budgets.ledger import Lease, Ledger
from gateway.budgets.stream import IN_FLIGHT_TOKENS, LeasedCopy
from gateway.sse import EventCopy
from gateway.tokens import TokenUsage
from gateway.upstream.failures import did_no_work
from sluice.errors import SluiceError
from sluice.identity import Budget

log = logging.getLogger(__name__)

FASTEST = 1_000
"""Tokens a second that an engine writes of one answer at most; counts for a plain answer that never came."""


class LeasedCall:
    """A lease with what it was taken for.

    Args:
        prompt: tokens of the prompt, or the most that they can be.
        most: tokens that all answers together may have.
        limited_by: the budget that made the answer shorter than asked for.
        clock: seconds since 1970.
    """

    __slots__ = ("_began", "_budgets", "_choices", "_clock", "_lease", "_ledger", "_limited_by", "_most", "_prompt")

    def __init__(
        self,
        ledger: Ledger,
        budgets: Sequence[Budget],
        lease: Lease,
        *,
        prompt: int,
        choices: int,
        most: int,
        limited_by: Budget | None,
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._budgets = budgets
        self._lease = lease
        self._prompt = prompt
        self._choices = choices
        self._most = most
        self._limited_by = limited_by
        self._clock = clock
        self._began = time.perf_counter()

    def copy(self, *, hide_usage: bool) -> LeasedCopy:
        """The side copy of this call's stream."""
        return LeasedCopy(hide_usage=hide_usage, choices=self._choices, most=self._most)

    def settle(self, reported: TokenUsage | None, copy: EventCopy | None, failure: SluiceError | None) -> int:
        """Book the call, once; what it is charged."""
        charged = self._charge(reported, copy, failure)
        if charged > self._lease.tokens:
            log.error("The upstream used %d tokens on a call that had leased %d.", charged, self._lease.tokens)
        self._lease.settle(charged)
        return charged

    def headers(self) -> dict[bytes, bytes]:
        """What the client is told of its budgets."""
        headers = remaining(self._ledger.available(self._budgets, self._clock()))
        if self._limited_by is not None:
            headers[b"x-sluice-budget"] = b"limited; " + self._limited_by.id.encode()
        return headers

    def _charge(self, reported: TokenUsage | None, copy: EventCopy | None, failure: SluiceError | None) -> int:
        """What was reported of the whole; without that, the most that the engine can have used, within the lease."""
        if copy is not None and copy.cut:
            return self._lease.tokens
        if reported is not None and (copy is None or copy.whole):
            return reported.total_tokens
        if failure is not None and did_no_work(failure):
            return 0
        now = time.perf_counter()
        if isinstance(copy, LeasedCopy):
            written = copy.at_most_written(now)
        else:
            written = self._choices * (int(FASTEST * (now - self._began)) + IN_FLIGHT_TOKENS)
        so_far = 0 if reported is None else reported.total_tokens
        return min(self._lease.tokens, max(self._prompt + written, so_far))


def remaining(tokens: int) -> dict[bytes, bytes]:
    """The header that tells what a key has left."""
    return {b"x-sluice-budget-remaining": b"%d" % tokens}
