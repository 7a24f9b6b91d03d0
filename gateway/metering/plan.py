"""Which budgets and limits a key's calls to a model count against, and at what price."""

from dataclasses import dataclass, field
from typing import Any

from gateway.price import Price
from sluice.errors import InvalidRequest
from sluice.identity import Budget, Identity, Limit
from sluice.identity.keyring import Meters
from sluice.identity.scopes import model_scope


@dataclass(slots=True, eq=False)
class Plan:
    """What applies to one key on one route.

    Attributes:
        price: of the route; None where nothing is counted in money.
        opened: the accounts, as the ledger that uses this plan keeps them.
        counts_tokens: it matters what a call may come to; else only that there is one.
        hard: something must not be let through uncounted.
    """

    identity: Identity
    budgets: tuple[Budget, ...]
    limits: tuple[Limit, ...]
    price: Price | None
    opened: Any = field(default=None, repr=False)
    applies: bool = field(init=False)
    counts_tokens: bool = field(init=False)
    hard: bool = field(init=False)

    def __post_init__(self) -> None:
        self.applies = bool(self.budgets or self.limits)
        self.counts_tokens = bool(self.budgets) or any(limit.what == "tokens" for limit in self.limits)
        self.hard = any(budget.hard for budget in self.budgets)


def make_plan(identity: Identity, route: str, price: Price | None, meters: Meters) -> Plan:
    """The plan of a key's calls to a route, by its name and price.

    Raises:
        InvalidRequest: a hard budget is in money and nobody knows what the route costs.
    """
    scope = model_scope(route)
    budgets = (*identity.budgets, *meters.budgets.get(scope, ()))
    limits = (*identity.limits, *meters.limits.get(scope, ()))
    money = [budget for budget in budgets if budget.unit == "money"]
    if price is None and any(budget.hard for budget in money):
        raise InvalidRequest(
            f"The model '{route}' has no price, and the budget of {money[0]} ({money[0].id}) is in money.",
            fix=f"Ask the operator to set the price of '{route}' in the models' settings.",
            param="model",
        )
    return Plan(identity, budgets, limits, price if money else None)
