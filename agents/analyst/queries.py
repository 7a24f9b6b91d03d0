"""From a question to SQL: a choice among four queries, whose slots are filled from the question's words.

A model that wrote SQL freely would have to be trusted, and a small one cannot be. Every query here is one of four
forms over columns and values that the table has, and `Lakehouse.sql` runs nothing but one SELECT on gold tables.
"""

import re
from dataclasses import dataclass
from functools import cache

from agents.analyst.deciding import Decisions
from agents.analyst.shortlist import Shortlist, words
from agents.analyst.table_shape import ENTITY, NEWEST, OUTCOME, TableShape

FORMS = {
    "count": "how many customers there are",
    "average": "the average of a number",
    "share": "the share of customers who left, the churn rate",
    "top": "a list of the customers with the highest number",
}
EXAMPLES = {
    "count": ("How many customers?", "Number of customers", "Count the people who have it"),
    "average": ("What is the average?", "Mean per group", "How much do they pay on average?", "Typical value"),
    "share": ("Churn rate", "What percentage churned?", "What share left?", "Which group leaves most often?"),
    "top": ("List the top five", "Show the customers with the highest", "Who has the most?", "The ten largest"),
}
MEANS = {
    "monthly_charges": "charge charges monthly pay pays bill price a month",
    "total_charges": "total charges revenue altogether spent in all",
    "tenure": "tenure months long stayed been with us",
}
"""Other words for numbers; a column that is not here goes by its name."""
COUNTED = {"three": 3, "five": 5, "ten": 10, "twenty": 20}
MOST_LISTED = 50
LISTED = 5


@dataclass(frozen=True)
class Slots:
    """What the question names: a column to group by, and conditions on others."""

    group: str | None
    conditions: tuple[str, ...]

    @property
    def where(self) -> str:
        """The WHERE clause, empty without conditions."""
        return f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""


def plan_query(decisions: Decisions, shape: TableShape) -> str:
    """The SELECT that answers the question; every decision among options that the table has.

    Raises:
        SluiceError: the gateway's own, where the model had to be asked.
    """
    slots = find_slots(decisions.question, shape)
    form = decisions.decide("query", _forms().rank(decisions.question), FORMS)
    if form == "count":
        return _grouped("count(*) AS customers", slots, "customers")
    if form == "share":
        return _grouped(
            f"round(100.0 * avg({OUTCOME}::INT), 1) AS churn_percent, count(*) AS customers", slots, "churn_percent"
        )
    ranked = _numbers(shape).rank(decisions.question)
    number = decisions.decide("column", ranked, {name: name.replace("_", " ") for name in shape.numbers})
    if form == "average":
        return _grouped(
            f"round(avg({number}), 2) AS average_{number}, count(*) AS customers", slots, f"average_{number}"
        )
    limit = _how_many(decisions.question)
    return f"SELECT {ENTITY}, {number} FROM {NEWEST}{slots.where} ORDER BY {number} DESC, {ENTITY} LIMIT {limit}"  # noqa: S608, see above


def find_slots(question: str, shape: TableShape) -> Slots:
    """Conditions: values and flags that the question names. Group: the column it names, if none of its values is."""
    asked = words(question)
    conditions: list[str] = []
    named = set[str]()
    for column, values in shape.values.items():
        for value in values:
            if value.lower() not in ("yes", "no") and _says(asked, value):
                literal = value.replace("'", "''")
                conditions.append(f"{column} = '{literal}'")
                named.add(column)
    for column in shape.flags:
        if column != OUTCOME and _says(asked, column):
            conditions.append(column)
            named.add(column)
    columns = [column for column in shape.values if column not in named and _says(asked, column)]
    return Slots(columns[0] if columns else None, tuple(conditions))


def _says(asked: list[str], name: str) -> bool:
    """Whether all of a name's words stand in the question, one after the other."""
    wanted = words(name)
    starts = range(len(asked) - len(wanted) + 1) if wanted else ()  # a name without a word, such as 24/7, is never said
    return any(asked[start : start + len(wanted)] == wanted for start in starts)


def _grouped(measure: str, slots: Slots, order: str) -> str:
    if slots.group is None:
        return f"SELECT {measure} FROM {NEWEST}{slots.where}"  # noqa: S608, see above
    grouped = f"SELECT {slots.group}, {measure} FROM {NEWEST}{slots.where} GROUP BY {slots.group}"  # noqa: S608, see above
    return f"{grouped} ORDER BY {order} DESC, {slots.group}"


def _how_many(question: str) -> int:
    digits = re.search(r"\b\d{1,4}\b", question)
    named = [count for word, count in COUNTED.items() if re.search(rf"\b{word}\b", question, re.IGNORECASE)]
    count = int(digits[0]) if digits else named[0] if named else LISTED
    return max(1, min(count, MOST_LISTED))


def _numbers(shape: TableShape) -> Shortlist:
    return Shortlist({name: (MEANS.get(name, name), name) for name in shape.numbers})


@cache
def _forms() -> Shortlist:
    return Shortlist({form: (FORMS[form], *EXAMPLES[form]) for form in FORMS})
