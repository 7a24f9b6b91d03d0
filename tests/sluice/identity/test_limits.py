import pytest
from sqlalchemy import Engine

from sluice.audit import entries
from sluice.errors import InvalidRequest, NotFound
from sluice.identity import list_limits, remove_limit, set_limit


def test_a_scope_has_one_limit_of_each(engine: Engine) -> None:
    set_limit(engine, "model:m", "requests", 5, by="ada")
    requests = set_limit(engine, "model:m", "requests", 6, by="ada")
    concurrent = set_limit(engine, "model:m", "concurrent", 2, by="ada")
    assert list_limits(engine) == {"model:m": (concurrent, requests)}
    assert [str(limit) for limit in (requests, concurrent)] == ["6 requests a minute", "2 requests at once"]
    remove_limit(engine, concurrent.id, by="bob")
    assert list_limits(engine) == {"model:m": (requests,)}
    assert [entry.action for entry in entries(engine, concurrent.id)] == ["limit.set", "limit.removed"]


@pytest.mark.parametrize(("what", "amount"), [("words", 5), ("tokens", 0), ("tokens", -1), ("concurrent", 2**53 + 1)])
def test_what_is_no_limit_is_refused(engine: Engine, what: str, amount: int) -> None:
    with pytest.raises(InvalidRequest):
        set_limit(engine, "model:m", what, amount, by="ada")


def test_a_limit_that_is_not_there_cannot_be_removed(engine: Engine) -> None:
    with pytest.raises(NotFound, match="model:m/tokens"):
        remove_limit(engine, "model:m/tokens", by="ada")
