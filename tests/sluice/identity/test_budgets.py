import pytest
from sqlalchemy import Engine

from sluice.audit import broken_links, entries
from sluice.errors import InvalidRequest, NotFound
from sluice.identity import list_budgets, remove_budget, set_budget
from sluice.identity.budgets import MOST, NANO, Budget


def test_a_scope_has_one_budget_of_each_unit_and_window(engine: Engine) -> None:
    set_budget(engine, "team:search", 5, "day", by="ada")
    changed = set_budget(engine, "team:search", 6, "day", hard=False, by="ada")
    money = set_budget(engine, "team:search", 2 * NANO, "day", "money", by="ada")
    assert list_budgets(engine) == {"team:search": (money, changed)}
    assert changed == Budget("team:search/tokens/day", "team:search", 6, "day", "tokens", hard=False)
    assert [str(budget) for budget in (changed, money)] == ["6 tokens per day", "2.00 of money per day"]
    remove_budget(engine, changed.id, by="bob")
    assert list_budgets(engine) == {"team:search": (money,)}
    assert [(entry.actor, entry.action, entry.detail.get("before")) for entry in entries(engine, changed.id)] == [
        ("ada", "budget.set", None),
        ("ada", "budget.set", 5),
        ("bob", "budget.removed", None),
    ]
    assert [entry.detail["amount"] for entry in entries(engine, money.id)] == ["2.00"]
    assert list(broken_links(engine)) == []


@pytest.mark.parametrize(
    ("amount", "window", "unit", "problem"),
    [
        (5, "week", "tokens", "'week' is no window"),
        (5, "day", "euros", "'euros' is no unit"),
        (0, "day", "tokens", "budget of 0 tokens"),
        (-1, "day", "money", "of money is none"),
        (MOST + 1, "day", "tokens", "is none"),
    ],
)
def test_what_is_no_budget_is_refused(engine: Engine, amount: int, window: str, unit: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        set_budget(engine, "team:search", amount, window, unit, by="ada")
    assert list_budgets(engine) == {}


def test_a_budget_that_is_not_there_cannot_be_removed(engine: Engine) -> None:
    with pytest.raises(NotFound, match="team:search/tokens/day"):
        remove_budget(engine, "team:search/tokens/day", by="ada")
