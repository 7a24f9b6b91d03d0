"""SQuAD's way to compare short answers: without case, punctuation, articles and extra spaces.

After the official evaluation script of SQuAD v1.1 (Rajpurkar et al. 2016).
"""

import re
import string
from collections import Counter
from typing import Any, cast

from evals.case import Case

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """The words that count."""
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def f1(expected: str, answer: str) -> float:
    """The harmonic mean of precision and recall over words; two texts without words are equal."""
    wanted, given = normalise(expected).split(), normalise(answer).split()
    if not wanted or not given:
        return float(wanted == given)
    common = sum((Counter(wanted) & Counter(given)).values())
    return 2 * common / (len(wanted) + len(given))


def references(case: Case) -> list[str]:
    """The right answers; the best match counts."""
    several = cast("list[Any]", case.expected) if isinstance(case.expected, list) else [case.expected]
    return [str(one) for one in several]
