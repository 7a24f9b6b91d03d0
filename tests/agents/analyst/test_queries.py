"""From questions to SQL, without a model: each of these is clear by its words."""

import pytest

from agents.analyst.deciding import Decisions
from agents.analyst.queries import find_slots, plan_query
from agents.analyst.table_shape import NEWEST, TableShape
from tests.agents.conftest import ContextOf

SHAPE = TableShape(
    numbers=("tenure", "monthly_charges", "total_charges"),
    flags=("senior_citizen", "partner", "churned"),
    values={
        "gender": ("Female", "Male"),
        "internet_service": ("DSL", "Fiber optic", "No"),
        "contract": ("Month-to-month", "One year", "Two year"),
        "payment_method": ("Bank transfer (automatic)", "Electronic check", "Mailed check"),
    },
)


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        (
            "How many customers have a two year contract?",
            f"SELECT count(*) AS customers FROM {NEWEST} WHERE contract = 'Two year'",
        ),
        (
            "Number of customers by payment method",
            f"SELECT payment_method, count(*) AS customers FROM {NEWEST} GROUP BY payment_method "
            "ORDER BY customers DESC, payment_method",
        ),
        (
            "Which contract has the highest churn rate?",
            "SELECT contract, round(100.0 * avg(churned::INT), 1) AS churn_percent, count(*) AS customers "
            f"FROM {NEWEST} GROUP BY contract ORDER BY churn_percent DESC, contract",
        ),
        (
            "What share of senior citizens with fiber optic left?",
            "SELECT round(100.0 * avg(churned::INT), 1) AS churn_percent, count(*) AS customers "
            f"FROM {NEWEST} WHERE internet_service = 'Fiber optic' AND senior_citizen",
        ),
        (
            "What is the average tenure per gender?",
            "SELECT gender, round(avg(tenure), 2) AS average_tenure, count(*) AS customers "
            f"FROM {NEWEST} GROUP BY gender ORDER BY average_tenure DESC, gender",
        ),
        (
            "List the top ten customers by total charges",
            f"SELECT customer_id, total_charges FROM {NEWEST} ORDER BY total_charges DESC, customer_id LIMIT 10",
        ),
        (
            "List the top 900 customers by tenure",
            f"SELECT customer_id, tenure FROM {NEWEST} ORDER BY tenure DESC, customer_id LIMIT 50",
        ),
    ],
)
def test_a_question_becomes_one_select(context_of: ContextOf, question: str, sql: str) -> None:
    decisions = Decisions(context_of(), question)
    assert plan_query(decisions, SHAPE) == sql
    assert not decisions.model_calls


def test_a_value_cannot_break_out_of_its_literal() -> None:
    shape = TableShape((), (), {"city": ("L'Aquila",)})
    assert find_slots("customers in L'Aquila", shape).where == " WHERE city = 'L''Aquila'"
