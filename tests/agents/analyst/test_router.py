"""How well routes are found by words alone; docs/agents.md says how well with the model."""

from pathlib import Path

import yaml

from agents.analyst.router import find_customer, rank_routes, rank_tools
from agents.analyst.shortlist import close_ones

QUESTIONS = yaml.safe_load((Path(__file__).parents[1] / "questions.yaml").read_text())
CASES = [(question, tool) for tool, questions in QUESTIONS.items() for question in questions]


def test_most_questions_find_their_tool() -> None:
    right = [rank_tools(question)[0].name == tool for question, tool in CASES]
    assert sum(right) >= 0.85 * len(CASES)


def test_the_shortlist_holds_the_right_tool() -> None:
    held = [tool in close_ones(rank_tools(question)) for question, tool in CASES]
    assert sum(held) >= 0.95 * len(CASES)


def test_a_named_customer_makes_a_question_one_about_a_customer() -> None:
    assert rank_routes("Will 7590-vhveg churn?")[0].name == "prediction"
    assert rank_tools("What do we know about 7590-VHVEG?")[0].name == "customer_features"


def test_the_customer_named_last_is_meant() -> None:
    assert find_customer(["about 7590-VHVEG", "and 5575-gnvde or 3668-QPYBK?"]) == "3668-QPYBK"
    assert find_customer(["about 7590-VHVEG", "will they leave?"]) == "7590-VHVEG"
    assert find_customer(["1234-ABCD"]) is None
