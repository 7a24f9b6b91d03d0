"""What a call says, and that every statement offered to the model is true."""

from typing import Any

import pytest

from agents.analyst.deciding import Decisions
from agents.analyst.facts import NOTHING_FOUND, facts_of
from agents.analyst.pointing import point_at
from tests.agents.conftest import ContextOf
from tests.doubles.scripted_upstream import Behaviour, ScriptedUpstream

RATES = [["Month-to-month", 42.7, 3875], ["One year", 11.3, 1473], ["Two year", 2.8, 1695]]


def call(tool: str, result: dict[str, Any], state: str = "done") -> dict[str, Any]:
    return {"id": "call-1", "tool": tool, "state": state, "decided_by": None, "result": result}


def rows(columns: list[str], found: list[list[Any]]) -> dict[str, Any]:
    return call("query_sql", {"columns": columns, "rows": found})


def hit(path: str, text: str, relevance: float) -> dict[str, Any]:
    return {"chunk": "0123456789abcdef", "path": path, "text": text, "relevance": relevance}


def test_groups_are_told_and_compared() -> None:
    facts = facts_of(rows(["contract", "churn_percent", "customers"], RATES))
    assert facts.details == (
        "contract Month-to-month, churn percent 42.70, customers 3,875; contract One year, churn percent 11.30, "
        "customers 1,473; contract Two year, churn percent 2.80, customers 1,695."
    )
    assert facts.statements == (
        "The contract with the highest churn percent is Month-to-month: 42.70.",
        "The contract with the lowest churn percent is Two year: 2.80.",
        "By contract, churn percent is between 2.80 and 42.70.",
    )


@pytest.mark.parametrize(
    ("columns", "found", "details"),
    [
        (["customers"], [[3875]], "customers 3,875."),
        (
            ["customer_id", "tenure"],
            [["1-A", 72], ["2-B", 71]],
            "customer id 1-A, tenure 72; customer id 2-B, tenure 71.",
        ),
        (["customers"], [], "No customer fits."),
    ],
)
def test_a_number_or_a_list_that_was_cut_is_not_compared(
    columns: list[str], found: list[list[Any]], details: str
) -> None:
    facts = facts_of(rows(columns, found))
    assert (facts.details, facts.statements) == (details, ())


def test_documents_are_quoted_two_sentences_at_a_time() -> None:
    text = "Too short. A revoked key is refused within a second! Version 1.2 does\nit so. Others never did it."
    found = [hit("keys.md", text, 0.6), hit("far.md", "This is about something else.", 0.1)]
    facts = facts_of(call("search_documents", {"hits": found}))
    assert facts.details == "Found in keys.md (chunk:0123456789ab)."
    assert facts.statements == (
        "A revoked key is refused within a second! Version 1.2 does it so.",
        "Version 1.2 does it so. Others never did it.",
    )
    assert all(statement in " ".join(text.split()) for statement in facts.statements)


def test_far_passages_are_no_answer() -> None:
    facts = facts_of(call("search_documents", {"hits": [hit("far.md", "This is about something else.", 0.1)]}))
    assert facts.details == NOTHING_FOUND


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which contract has the highest churn rate?", "The contract with the highest churn percent is Month-to-month"),
        ("Which contract has the lowest churn rate?", "The contract with the lowest churn percent is Two year"),
    ],
)
def test_the_statement_is_found_by_words(
    context_of: ContextOf, scripted_upstream: ScriptedUpstream, question: str, answer: str
) -> None:
    scripted_upstream.default = Behaviour(content=("not a choice",))
    statements = facts_of(rows(["contract", "churn_percent", "customers"], RATES)).statements
    assert point_at(Decisions(context_of(), question), statements).startswith(answer)


def test_the_model_points_at_one(context_of: ContextOf, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.next(Behaviour(content=('{"choice": "2"}',)))
    assert point_at(Decisions(context_of(), "Well?"), ("It is so.", "It is not.")) == "It is not."
    assert "- 2: It is not." in scripted_upstream.requests[0].json["messages"][0]["content"]
