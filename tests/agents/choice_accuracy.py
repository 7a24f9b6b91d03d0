"""How often the analyst's choices are right: its own questions, SQuAD's as questions for documents, BFCL's functions.

    PYTHONPATH=.:platform python -m tests.agents.choice_accuracy [data-folder]

Asks the model through the gateway of OPENAI_BASE_URL, with the key in OPENAI_API_KEY. docs/agents.md quotes it.
"""

import gzip
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from agents.analyst.chat_model import choose
from agents.analyst.router import rank_tools
from agents.analyst.shortlist import Ranked, Shortlist, close_ones
from agents.analyst.tasks import EXAMPLES
from sluice.gateway_client import GatewayClient
from tests.public_data import PUBLIC_DATA

MODEL = "smollm2"
QUESTIONS = Path(__file__).with_name("questions.yaml")
MOST_ROWS = 60
Case = tuple[str, str, list[Ranked], Mapping[str, str]]
"""A question, what is right, the ranking, and each option's description."""


ABOUT = {tool: examples[0] for tool, examples in EXAMPLES.items()}


def own_questions() -> Iterator[Case]:
    for right, questions in yaml.safe_load(QUESTIONS.read_text()).items():
        for question in questions:
            yield question, right, rank_tools(question), ABOUT


def squad(folder: Path) -> Iterator[Case]:
    asked = rows(folder, "questions")
    for row in random.Random(0).sample(asked, MOST_ROWS):
        yield row["question"], "search_documents", rank_tools(row["question"]), ABOUT


def bfcl(folder: Path, name: str) -> Iterator[Case]:
    for row in rows(folder, name)[:MOST_ROWS]:
        question = row["messages"][-1]["content"]
        about = {function["name"]: describe(function) for function in row["functions"]}
        right = next(iter(row["ground_truth"][0])) if row["ground_truth"] else "none"
        yield question, right, Shortlist({option: (text,) for option, text in about.items()}).rank(question), about


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def describe(function: dict[str, Any]) -> str:
    return f"{function['name'].replace('_', ' ').replace('.', ' ')}: {function['description']}"


def measure(title: str, cases: Iterator[Case], gateway: GatewayClient) -> None:
    right = Counter[str]()
    count = asked = 0
    began = time.monotonic()
    for question, expected, ranked, about in cases:
        count += 1
        close = close_ones(ranked)
        chosen = close[0]
        if len(close) > 1:
            asked += 1
            chosen, _ = choose(gateway, MODEL, question, {name: about[name] for name in close})
        alone, _ = choose(gateway, MODEL, question, about)
        right["words alone"] += ranked[0].name == expected
        right["on the shortlist"] += expected in close
        right["shortlist, then the model"] += chosen == expected
        right["the model alone"] += alone == expected
    print(f"{title}: {count} questions, the model asked for {asked}, {time.monotonic() - began:.0f} s")
    for how in ("words alone", "on the shortlist", "shortlist, then the model", "the model alone"):
        print(f"  {how}: {right[how]} ({right[how] / count:.2f})")


def separation(folder: Path) -> float:
    """How well the best score tells a function that fits from one that does not: the chance that it is higher."""
    scores = {
        name: [ranked[0].score for _, _, ranked, _ in bfcl(folder, name)] for name in ("simple_python", "irrelevance")
    }
    pairs = [(fits > not_) + 0.5 * (fits == not_) for fits in scores["simple_python"] for not_ in scores["irrelevance"]]
    return sum(pairs) / len(pairs)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else PUBLIC_DATA)
    with GatewayClient(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]) as gateway:
        measure("own questions", own_questions(), gateway)
        measure("SQuAD 2", squad(folder / "squad2"), gateway)
        measure("BFCL multiple", bfcl(folder / "bfcl", "multiple"), gateway)
    print(
        f"BFCL simple and irrelevance: a function that fits scores higher with probability {separation(folder / 'bfcl'):.2f}"
    )


if __name__ == "__main__":
    main()
