"""The last decision: which of the true statements answers the question."""

from collections.abc import Sequence

from agents.analyst.deciding import Decisions
from agents.analyst.facts import split_sentences
from agents.analyst.shortlist import Shortlist

ALSO_SAID = {
    "highest": "most often largest top best more",
    "lowest": "least fewest smallest seldom best less",
    "between": "by per for each compare",
}
"""Other words for what a statement compares by."""


def point_at(decisions: Decisions, statements: Sequence[str]) -> str:
    """One of the statements, empty where there are none.

    Raises:
        SluiceError: the gateway's own, where the model had to be asked.
    """
    if not statements:
        return ""
    numbered = {str(number): statement for number, statement in enumerate(statements, 1)}
    texts = {
        # A statement that begins with what the question is about comes before one that ends with it.
        number: (
            statement,
            split_sentences(statement)[0],
            *(words for key, words in ALSO_SAID.items() if key in statement),
        )
        for number, statement in numbered.items()
    }
    return numbered[decisions.decide("statement", Shortlist(texts).rank(decisions.question), numbered)]
