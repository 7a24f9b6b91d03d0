"""What a tool call says, in words that need no model.

A model that put the facts into a sentence of its own would have to be believed, and the packaged one cannot be: of a
table of three rows it named the lowest as the highest. So it writes nothing. It points: at the one statement, among
those that are true, that answers the question.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from agents.analyst.table_shape import ENTITY

MOST_ROWS = 10
LONGEST_SENTENCE = 300
MOST_QUOTES = 12
LEAST_RELEVANCE = 0.35
"""Below it a passage has hardly a word or a meaning in common with the question."""
NO_TOOL = (
    "I have no tool for that. I answer from the indexed documents and the customers' tables, predict whether a customer "
    "leaves, report drift, and have models trained again."
)
WHICH_CUSTOMER = "Which customer do you mean? Name the id, such as 7590-VHVEG."
NOTHING_FOUND = "Nothing in the documents is close to this question."

Call = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What is so.

    Attributes:
        statements: each true by itself; where there are several, one is to be chosen as the answer to the question.
        details: what it rests on.
    """

    details: str
    statements: tuple[str, ...] = ()


def facts_of(call: Call) -> Facts:
    """The facts of a call, whatever became of it."""
    result = call["result"] or {}
    match call["state"]:
        case "denied":
            return Facts(f"{call['decided_by']} refused the call {call['id']} of {call['tool']}, so it did not run.")
        case "failed":
            return Facts(str(result["error"]))
        case "done":
            return _BY_TOOL[call["tool"]](result)
        case state:
            return Facts(_unfinished(call, state))


def _unfinished(call: Call, state: str) -> str:
    if state == "waiting":
        return (
            f"The call {call['id']} of {call['tool']} waits for another person's approval: "
            f"sluice agents approve {call['id']}. Ask again in this thread afterwards."
        )
    return f"The call {call['id']} of {call['tool']} still runs. Ask again in this thread later."


def _documents(result: Call) -> Facts:
    near = [hit for hit in result["hits"] if hit["relevance"] >= LEAST_RELEVANCE]
    if not near:
        return Facts(NOTHING_FOUND)
    quotes = dict.fromkeys(quote for hit in near for quote in _quotes(hit["text"]))
    found = ", ".join(f"{hit['path']} (chunk:{hit['chunk'][:12]})" for hit in near)
    return Facts(f"Found in {found}.", tuple(quotes)[:MOST_QUOTES])


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, white space evened."""
    return re.split(r"(?<=[.!?:])\s+(?=\W?[A-Z0-9])", " ".join(text.split()))


def _quotes(text: str) -> list[str]:
    """Each sentence with the one after it, which says what its "it" or "they" leaves open."""
    found = [one for one in split_sentences(text) if 20 <= len(one) <= LONGEST_SENTENCE]
    return [f"{first} {second}" for first, second in pairwise(found)] or found


def _rows(result: Call) -> Facts:
    columns, rows = result["columns"], result["rows"]
    if not rows:
        return Facts("No customer fits.")
    told = [
        ", ".join(f"{_words(name)} {_shown(cell)}" for name, cell in zip(columns, row, strict=True)) for row in rows
    ]
    more = [f"and {len(told) - MOST_ROWS} rows more"] if len(told) > MOST_ROWS else []
    return Facts("; ".join([*told[:MOST_ROWS], *more]) + ".", _compared(columns, rows))


def _compared(columns: list[str], rows: list[list[Any]]) -> tuple[str, ...]:
    """What can be said of groups and one number each, which come with the highest first; of a cut list, nothing."""
    if len(rows) < 2 or columns[0] == ENTITY:
        return ()
    (group, number, *_), (highest, *_), (*_, lowest) = columns, rows, rows
    name, what = _words(group), _words(number)
    return (
        f"The {name} with the highest {what} is {_shown(highest[0])}: {_shown(highest[1])}.",
        f"The {name} with the lowest {what} is {_shown(lowest[0])}: {_shown(lowest[1])}.",
        f"By {name}, {what} is between {_shown(lowest[1])} and {_shown(highest[1])}.",
    )


def _features(result: Call) -> Facts:
    told = ", ".join(f"{_words(name)} {_shown(value)}" for name, value in result["features"].items())
    return Facts(f"Customer {result['customer']}: {told}.")


def _prediction(result: Call) -> Facts:
    return Facts(
        f"Customer {result['customer']} leaves with a probability of {result['probability']:.2f}, "
        f"according to {result['model']}."
    )


def _drift(result: Call) -> Facts:
    if result["alert"] is None:
        return Facts("Monitoring has raised no alert.")
    about = f"{result['monitor']}, {result['at'][:10]}, {result['severity']}"
    return Facts(f"{about}: {result['summary']} ({result['alert']}).")


def _training(result: Call) -> Facts:
    return Facts(
        f"Training for {result['alert']} led to version {result['version']}; its gate's verdict is "
        f"'{result['verdict']}'. Promoting it is another step."
    )


_BY_TOOL = {
    "search_documents": _documents,
    "query_sql": _rows,
    "customer_features": _features,
    "predict_churn": _prediction,
    "drift_report": _drift,
    "start_training": _training,
}


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "unknown"}[value]
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}" if isinstance(value, float) else str(value)
