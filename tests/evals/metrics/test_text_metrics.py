"""Exact match, token F1 and JSON schema."""

from typing import Any

import pytest

from evals.case import Answer, Case
from evals.metrics.exact_match import exact_match
from evals.metrics.json_schema import JsonSchema
from evals.metrics.squad import normalise
from evals.metrics.token_f1 import token_f1
from sluice.errors import InvalidRequest


def case(expected: Any) -> Case:
    return Case("a", {}, expected)


@pytest.mark.parametrize(
    ("expected", "answer", "value"),
    [
        ("Paris", "paris.", 1),
        ("The Eiffel Tower", "  an eiffel\ttower!", 1),
        ("Paris", "The capital is Paris", 0),
        (["Rome", "Roma"], "Roma", 1),
        (42, "42", 1),
        ("Theory", "ory", 0),
    ],
)
def test_exact_match(expected: Any, answer: str, value: float):
    assert exact_match(case(expected), Answer(answer)).value == value


@pytest.mark.parametrize(
    ("expected", "answer", "value"),
    [
        ("Paris", "The capital of France is Paris", 2 / 6),
        ("a b c d", "b c x", 2 * 2 / (3 + 3)),  # 'a' is an article
        ("x x y", "x y y", 2 / 3),
        ("Paris", "Rome", 0),
        ("Paris", "", 0),
        ("the", "a", 1),
        (["Rome", "The capital is Paris"], "The capital is Paris", 1),
    ],
)
def test_token_f1(expected: Any, answer: str, value: float):
    assert token_f1(case(expected), Answer(answer)).value == pytest.approx(value)


def test_normalisation_is_squads():
    assert normalise("An apple, the pear & a plum!") == "apple pear plum"


@pytest.mark.parametrize(
    ("answer", "value", "reason"),
    [
        ('{"city": "Paris"}', 1, ""),
        ('{"city": 1}', 0, "$.city: 1 is not of type 'string'"),
        ("{}", 0, "$: 'city' is a required property"),
        ('Sure! {"city": "Paris"}', 0, "not JSON"),
        ('{"city": "Paris", "population": NaN}', 0, "not JSON: NaN"),
        ('{"city":' * 100_000, 0, "nested too deeply"),
        ('{"city": ' + "[" * 900 + "]" * 900 + "}", 0, "$.city: "),
    ],
)
def test_json_schema(answer: str, value: float, reason: str):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    metric = JsonSchema.model_validate({"metric": "json_schema", "schema": schema})
    score = metric.scorer(None)(case(None), Answer(answer))
    assert score.value == value
    assert reason in score.reason


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/schema.json", "#/$defs/city"])
def test_a_schema_that_refers_to_elsewhere_is_a_mistake_and_fetches_nothing(reference: str):
    metric = JsonSchema.model_validate({"metric": "json_schema", "schema": {"$ref": reference}})
    with pytest.raises(InvalidRequest, match="which it does not hold") as raised:
        metric.scorer(None)(case(None), Answer("{}"))
    assert f"{reference.removeprefix('#')}'" in str(raised.value)
