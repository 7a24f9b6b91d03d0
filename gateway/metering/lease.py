"""What the ledger is asked for, and what it gives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.metering.plan import Plan
from sluice.identity import Budget, Limit

RateKind = Literal["requests", "tokens"]
MOST_TOKENS = 2**32
"""More than any call can use; with it, no product of a price and a number of tokens is beyond a double."""


@dataclass(slots=True)
class Ask:
    """What a call may come to.

    Attributes:
        request_id: names the lease in whatever keeps it.
        prompt: tokens of the prompt, or the most that they can be.
        choices: answers to be written; 0 for embeddings.
        completion: the most tokens of each answer.
        most: of prompt and answers together, where that is less than the sum of both; 0: it is not.
        exact: `prompt` was counted; else what does not fit is counted first, so nobody is refused for a bound's slack.
    """

    request_id: str
    prompt: int
    choices: int
    completion: int
    most: int = 0
    exact: bool = False

    def tokens(self, completion: int) -> int:
        """Of the whole call, with so many for each answer."""
        whole = self.prompt + self.choices * completion
        return min(whole, self.most) if self.most else whole


class Rate(NamedTuple):
    """Where a limit stands, for the response's headers; `reset_seconds` until all of it is there again."""

    limit: int
    remaining: int
    reset_seconds: float


class Unopened(Exception):
    """The ledger has to be told first what was spent of these budgets in their present windows."""

    def __init__(self, budgets: list[Budget]) -> None:
        super().__init__()
        self.budgets = budgets


class NeedsCount(Exception):
    """The call does not fit by its prompt's upper bound; by its true count it may."""


class Lease(ABC):
    """Tokens and money held for one call until it is settled.

    Attributes:
        tokens, money: what is held; money in billionths.
        completion: tokens that each answer may have.
        limited_by: what made the answer shorter than asked for.
        exceeded: a soft budget that is spent.
        uncounted: the ledger was lost, so nothing is held.
    """

    uncounted = False
    __slots__ = ("completion", "exceeded", "limited_by", "money", "plan", "tokens")

    def __init__(self, plan: Plan, tokens: int, money: int, completion: int, limited_by: Budget | Limit | None) -> None:
        self.plan = plan
        self.tokens = tokens
        self.money = money
        self.completion = completion
        self.limited_by = limited_by
        self.exceeded: Budget | None = None

    @property
    @abstractmethod
    def left(self) -> int | None:
        """Tokens that the tightest hard budget has left beside what is held; None where none counts tokens."""

    @abstractmethod
    def settle(self, tokens: int, money: int) -> None:
        """Book what the call used and give back the rest; only the first time counts."""

    @abstractmethod
    def rates(self) -> list[tuple[RateKind, Rate]]:
        """Where the tightest limit of each kind stands."""
