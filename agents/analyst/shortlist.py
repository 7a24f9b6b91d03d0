"""Which few options a question could mean, by its words alone.

A 135M model that chooses among seven tools is right less than half of the time; among the two or three that share
words with the question it has a chance, and where only one is left it need not be asked (docs/agents.md has the
figures). TF-IDF over short texts needs no library, no model call and a fraction of a millisecond.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ers", "er", "ed", "es", "s", "e", "y")
CLOSE = 0.7
"""An option whose score is at least this part of the best one's is still in question."""
LONGEST = 3

Vector = dict[str, float]


@dataclass(frozen=True)
class Ranked:
    """One option and how well it fits; scores of one ranking compare with one another only."""

    name: str
    score: float


class Shortlist:
    """Options, each described by a few texts: a description and things people say when they mean it."""

    def __init__(self, options: Mapping[str, Sequence[str]]) -> None:
        counted = [(name, Counter(words(text))) for name, texts in options.items() for text in texts]
        documents = Counter(word for _, counts in counted for word in counts)
        self._names = list(options)
        self._total = len(counted)
        self._weights = {word: self._weight(count) for word, count in documents.items()}
        self._vectors = [(name, self._vector(counts)) for name, counts in counted]

    def rank(self, question: str) -> list[Ranked]:
        """All options, best first; an option's score is that of its two texts that fit best."""
        asked = self._vector(Counter(words(question)))
        scores: dict[str, list[float]] = {name: [0.0, 0.0] for name in self._names}
        for name, vector in self._vectors:
            scores[name].append(sum(weight * asked.get(word, 0.0) for word, weight in vector.items()))
        ranked = [Ranked(name, sum(sorted(found)[-2:])) for name, found in scores.items()]
        return sorted(ranked, key=lambda option: option.score, reverse=True)

    def _weight(self, documents: int) -> float:
        return math.log((1 + self._total) / (1 + documents)) + 1

    def _vector(self, counts: Mapping[str, int]) -> Vector:
        raw = {word: (1 + math.log(count)) * self._weights.get(word, self._weight(0)) for word, count in counts.items()}
        length = math.sqrt(sum(weight**2 for weight in raw.values())) or 1.0
        return {word: weight / length for word, weight in raw.items()}


def close_ones(ranked: Sequence[Ranked]) -> list[str]:
    """The options among which a model has to choose; one where the best is clear."""
    return [option.name for option in ranked[:LONGEST] if option.score >= CLOSE * ranked[0].score]


def words(text: str) -> list[str]:
    """Lower-case words without their commonest English endings; identifiers are split at case and underscores."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return [_stem(word) for word in re.findall(r"[a-z]+", split.lower())]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
