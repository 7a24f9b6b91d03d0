"""A caller's mistakes in arguments, each named."""

from typing import Any

import pytest

from agents.tools import registry
from sluice.errors import InvalidRequest
from tests.agents.conftest import ContextOf


@pytest.mark.parametrize(
    ("name", "arguments", "expected", "param"),
    [
        (
            "predict_churn",
            {"customer": 7},
            "Tool 'predict_churn': argument 'customer' is 7, expected string (The customer's id, such as 7590-VHVEG).",
            "arguments.customer",
        ),
        (
            "search_documents",
            {"query": "x", "limit": 99},
            "Tool 'search_documents': argument 'limit' is 99, expected integer from 1 to 20 "
            "(How many passages at most).",
            "arguments.limit",
        ),
        (
            "search_documents",
            {"query": "x", "limit": "3"},
            "Tool 'search_documents': argument 'limit' is '3', expected integer from 1 to 20 "
            "(How many passages at most).",
            "arguments.limit",
        ),
        (
            "start_training",
            {"alert": ["alert-1"]},
            "Tool 'start_training': argument 'alert' is ['alert-1'], expected string "
            "(The id of the monitoring alert to train for).",
            "arguments.alert",
        ),
        (
            "query_sql",
            {},
            "Tool 'query_sql': argument 'query' is missing, expected string (One SELECT on gold tables, DuckDB's SQL).",
            "arguments.query",
        ),
        (
            "query_sql",
            {"query": "SELECT 1", "sql": "SELECT 1"},
            "Tool 'query_sql': there is no argument 'sql', expected one of: query.",
            "arguments.sql",
        ),
    ],
)
def test_a_wrong_argument_is_named_with_what_was_expected(
    context_of: ContextOf, name: str, arguments: dict[str, Any], expected: str, param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        registry(context_of())[name].parse(arguments)
    assert str(caught.value) == expected
    assert caught.value.param == param


def test_a_tool_is_shown_with_what_a_caller_must_know(context_of: ContextOf) -> None:
    shown = registry(context_of())["start_training"].as_json()
    assert shown["approval"]
    assert shown["parameters"]["required"] == ["alert"]
    assert shown["parameters"]["additionalProperties"] is False


def test_a_callers_key_is_never_printed(context_of: ContextOf) -> None:
    assert "sk-of-ada" not in repr(context_of())
