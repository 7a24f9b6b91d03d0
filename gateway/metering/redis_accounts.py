"""A plan's accounts in Redis: their keys, and what the scripts are told of them and of a call."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gateway.metering.lease import MOST_TOKENS, Ask
from gateway.metering.plan import Plan
from gateway.metering.redis_scripts import LEASE, SETTLE, bulk
from gateway.metering.window import span
from gateway.price import MILLION
from sluice.identity import Budget, Limit
from sluice.identity.budgets import MOST

KEPT_SECONDS = 3_600
"""How long what is known of a plan's accounts is used before it is put together again."""

encode = msgspec.msgpack.Encoder().encode


class Keys:
    """The names of one epoch's keys. What stands in braces puts all of them into one slot of a cluster."""

    def __init__(self, prefix: str, epoch: bytes) -> None:
        self.epoch = epoch
        self.where = f"{{{prefix}}}:epoch".encode()
        self.rebuilding = f"{{{prefix}}}:rebuilding".encode()
        self._begin = f"{{{prefix}}}:{epoch.decode()}:"
        self.expiries = f"{self._begin}expiries".encode()
        self.leases = f"{self._begin}lease:"
        self._settle = SETTLE.head((self.where, self.expiries), arguments=3, further_keys=1)
        self._epoch = bulk(epoch)

    def settle_command(self, request_id: str, charge: "Charge") -> bytes:
        """The call of the script that settles."""
        name, packed = request_id.encode(), encode(charge)
        return b"%b%b%b%b%b" % (self._settle, bulk(self.lease(request_id)), self._epoch, bulk(name), bulk(packed))

    def lease(self, request_id: str) -> bytes:
        """Of a call's lease."""
        return (self.leases + request_id).encode()

    def account(self, meter: Budget | Limit) -> bytes:
        """Of a budget's window or a limit."""
        return f"{self._begin}{'budget' if isinstance(meter, Budget) else 'limit'}:{meter.id}".encode()


class BudgetSpec(msgspec.Struct):
    """A budget as the scripts read it; `ends` of the window that the gateway's clock is in."""

    amount: int
    ends: int
    money: bool


class Spec(msgspec.Struct):
    """A plan as the scripts read it: hard budgets first, limits by what they limit. A token's price is in billionths, and
    the rest of it in millionths of one: their products with tokens are exact in a double."""

    leases: str
    budgets: list[BudgetSpec]
    hard: int
    requests: list[int]
    tokens: list[int]
    gates: list[int]
    priced: bool
    output: int
    output_rest: int


class Call(msgspec.Struct):
    """An ask as the script reads it; the cost of its prompt in the same two parts."""

    id: str
    now: float
    expires: float
    prompt: int
    choices: int
    completion: int
    most: int
    exact: bool
    prompt_cost: int
    prompt_rest: int


class Charge(msgspec.Struct):
    """What a call is charged; `unsure`: Redis may not have its lease yet, and must not take it any more."""

    now: float
    tokens: int
    money: int
    unsure: bool


class Held(msgspec.Struct):
    """What a call under way holds, for an epoch that does not know it."""

    id: str
    now: float
    expires: float
    tokens: int
    money: int


class Opening(msgspec.Struct):
    """What a budget's window begins with; `since`: what was charged later may be missing in it."""

    now: float
    since: float
    spent: int
    ends: int


@dataclass(slots=True)
class Accounts:
    """A plan's accounts in one epoch, good until `until`. `head` and `tail` stand around what differs between calls."""

    until: float
    keys: Keys
    budgets: Sequence[Budget]
    requests: Sequence[Limit]
    tokens: Sequence[Limit]
    gates: Sequence[Limit]
    shared_keys: tuple[bytes, ...]
    spec: bytes
    head: bytes
    tail: bytes


def accounts_of(plan: Plan, keys: Keys, now: float) -> Accounts:
    """Put a plan's accounts together."""
    budgets = sorted(plan.budgets, key=lambda budget: not budget.hard)
    ends = [span(budget.window, now)[1] for budget in budgets]
    requests = [limit for limit in plan.limits if limit.what == "requests"]
    tokens = [limit for limit in plan.limits if limit.what == "tokens"]
    gates = [limit for limit in plan.limits if limit.what == "concurrent"]
    output, rest = (0, 0) if plan.price is None else divmod(plan.price.output, MILLION)
    spec = encode(
        Spec(
            leases=keys.leases,
            budgets=[
                BudgetSpec(budget.amount, whole(end), budget.unit == "money")
                for budget, end in zip(budgets, ends, strict=True)
            ],
            hard=sum(budget.hard for budget in budgets),
            requests=[limit.amount for limit in requests],
            tokens=[limit.amount for limit in tokens],
            gates=[limit.amount for limit in gates],
            priced=plan.price is not None,
            output=output,
            output_rest=rest,
        )
    )
    meters = (*budgets, *requests, *tokens, *gates)
    shared = (keys.where, keys.expiries, keys.rebuilding, *(keys.account(meter) for meter in meters))
    return Accounts(
        until=min([now + KEPT_SECONDS, *ends]),
        keys=keys,
        budgets=budgets,
        requests=requests,
        tokens=tokens,
        gates=gates,
        shared_keys=shared,
        spec=spec,
        head=LEASE.head(shared, arguments=3, further_keys=1),
        tail=bulk(keys.epoch) + bulk(spec),
    )


def lease_command(plan: Plan, accounts: Accounts, ask: Ask, now: float, expires: float) -> bytes:
    """The call of the script that leases."""
    cost, rest = (0, 0) if plan.price is None else divmod(ask.prompt * plan.price.input, MILLION)
    choices = min(ask.choices, MOST_TOKENS)
    completion = min(ask.completion, MOST_TOKENS // choices) if choices else ask.completion
    call = encode(
        Call(
            ask.request_id,
            now,
            expires,
            ask.prompt,
            choices,
            min(completion, MOST_TOKENS),
            min(ask.most, MOST),
            ask.exact,
            min(cost, MOST),
            rest,
        )
    )
    key = accounts.keys.lease(ask.request_id)
    return b"%b$%d\r\n%b\r\n%b$%d\r\n%b\r\n" % (accounts.head, len(key), key, accounts.tail, len(call), call)


def whole(ends: float) -> int:
    """The end of a window; of one without end, more than any clock shows."""
    return MOST if ends == math.inf else int(ends)
