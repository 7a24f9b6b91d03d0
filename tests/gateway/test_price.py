from hypothesis import given
from hypothesis import strategies as st

from gateway.price import MILLION, Price

AMOUNTS = st.integers(0, 10**12)
TOKENS = st.integers(0, 10**6)


def test_a_cost_is_rounded_up_to_a_billionth() -> None:
    price = Price(input=1_500_000, cached=100_000, output=6_000_000)
    assert price.cost(10, 0, 3) == 15 + 18
    assert price.cost(10, 4, 3) == -(-(6 * 1_500_000 + 4 * 100_000 + 3 * 6_000_000) // MILLION)
    assert price.cost(1, 0, 0) == 2
    assert price.cost(0, 0, 0) == 0


@given(AMOUNTS, AMOUNTS, TOKENS, st.integers(1, 5), AMOUNTS)
def test_what_an_amount_pays_for_costs_no_more_and_one_token_further_does(
    read: int, written: int, prompt: int, choices: int, money: int
) -> None:
    price = Price(read, read, written)
    completion = price.completion_for(money, prompt, choices)
    if completion >= 0:
        assert price.cost(prompt, 0, choices * completion) <= money
    if written:
        assert price.cost(prompt, 0, choices * (max(completion, -1) + 1)) > money
