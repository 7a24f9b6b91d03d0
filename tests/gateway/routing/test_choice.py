import random
from collections import Counter

import pytest

from gateway.routing.choice import Chance, Choice
from gateway.routing.target import Target

KEYS = [f"key{number}" for number in range(10_000)]


def target(name: str) -> Target:
    return Target(name, None, name, 1)  # pyright: ignore[reportArgumentType] - nothing is sent


A, B, C = target("a"), target("b"), target("c")


def choice(*chances: Chance, seed: int = 1) -> Choice:
    return Choice("route", chances, random.Random(seed).random)


def anyone(_: Target) -> bool:
    return True


def test_weights_share_the_requests() -> None:
    drawing = choice(Chance(A, 3), Chance(B, 1), Chance(C, 0))
    drawn = Counter(drawing.pick("same", anyone) for _ in range(20_000))
    assert drawn[A] / 20_000 == pytest.approx(0.75, abs=0.02)
    assert drawn[B] / 20_000 == pytest.approx(0.25, abs=0.02)
    assert drawn[C] == 0


def test_a_canary_has_its_percent_of_the_keys_and_weights_share_the_rest() -> None:
    drawing = choice(Chance(A, 1), Chance(B, 1), Chance(C, 1, canary=10))
    drawn = Counter(drawing.pick(key, anyone) for key in KEYS)
    assert drawn[C] / len(KEYS) == pytest.approx(0.10, abs=0.02)
    assert drawn[A] / len(KEYS) == pytest.approx(0.45, abs=0.02)


def test_a_key_stays_on_its_side_in_every_process() -> None:
    one, other = (choice(Chance(A, 1), Chance(C, 1, canary=30), seed=seed) for seed in (1, 2))
    for key in KEYS[:500]:
        assert {one.pick(key, anyone) for _ in range(3)} == {other.pick(key, anyone)}


def test_a_canary_that_grows_keeps_its_keys() -> None:
    small, large = (choice(Chance(A, 1), Chance(C, 1, canary=share)) for share in (5, 20))
    keys = [key for key in KEYS if small.pick(key, anyone) is C]
    assert keys
    assert {large.pick(key, anyone) for key in keys} == {C}


def test_two_canaries_have_different_keys() -> None:
    drawing = choice(Chance(A, 1), Chance(B, 1, canary=50), Chance(C, 1, canary=50))
    drawn = Counter(drawing.pick(key, anyone) for key in KEYS)
    assert drawn[A] == 0
    assert drawn[B] / len(KEYS) == pytest.approx(0.5, abs=0.03)


def test_what_cannot_be_used_is_passed_over() -> None:
    drawing = choice(Chance(A, 1), Chance(B, 1), Chance(C, 1, canary=100))
    assert {drawing.pick(key, lambda one: one is not C) for key in KEYS[:100]} == {A, B}
    assert {drawing.pick(key, lambda one: one is B) for key in KEYS[:100]} == {B}
    assert drawing.pick("key", lambda _: False) is None


def test_rather_a_canary_than_nothing() -> None:
    drawing = choice(Chance(A, 1), Chance(C, 1, canary=1))
    assert {drawing.pick(key, lambda one: one is C) for key in KEYS[:100]} == {C}


def test_a_weight_of_zero_is_never_drawn() -> None:
    drawing = choice(Chance(A, 1), Chance(B, 0))
    assert drawing.pick("key", lambda one: one is B) is None
