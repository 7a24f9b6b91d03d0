"""Numbers in an answer that lead to what it rests on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.excerpts import Excerpt
from rag.lexical import Terms

SUPPORT = 0.5
"""The least share of an answer's terms that its sources must hold; below it, the sources themselves are quoted."""

_NUMBER = re.compile(r"\s*\[([0-9]{1,3})\]")
_SEVERAL = re.compile(r"\[([0-9]{1,3}(?:\s*[,;]\s*[0-9]{1,3})+)\]")
_FIGURE = re.compile(r"\d(?:[\d.,]*\d)?")


@dataclass(frozen=True)
class Citation:
    """What `[number]` in an answer stands for: `text` at [start, end), in characters, of the file's text.

    `chunk` and `document` are known to the lineage; `document` is the file's SHA-256.
    """

    number: int
    path: str
    start: int
    end: int
    text: str
    chunk: str
    document: str
    relevance: float


def cite(answer: str, question: str, excerpts: Sequence[Excerpt], terms: Terms) -> tuple[str, list[Citation]] | None:
    """The answer with its numbers, and what each stands for; None where the cited excerpts do not bear it out.

    They do when they hold most of what it says beyond the question, and it says something: words, and every figure.

    Numbers that the model wrote count where there is such an excerpt; where it wrote none, the answer gets that of the
    excerpt which holds most of its words. Small models copy words well and numbers badly.
    """
    answer = _SEVERAL.sub(lambda found: "".join(f"[{number}]" for number in re.findall("[0-9]+", found[1])), answer)
    plain = _NUMBER.sub("", answer).strip()
    named = {int(number) for number in _NUMBER.findall(answer)} & set(range(1, len(excerpts) + 1))
    if named:
        marked = _NUMBER.sub(lambda found: found[0] if int(found[1]) in named else "", answer).strip()
    else:
        support = [terms.coverage(plain, excerpt.text) for excerpt in excerpts]
        named = {support.index(max(support)) + 1}
        marked = f"{plain} [{min(named)}]"
    cited = {number: excerpts[number - 1] for number in sorted(named)}
    held = " ".join(excerpt.text for excerpt in cited.values())
    figures = set(_FIGURE.findall(plain)) - set(_FIGURE.findall(question))
    if terms.coverage(plain, held, known=question) < SUPPORT or not figures <= set(_FIGURE.findall(held)):
        return None
    return marked, [_citation(number, excerpt) for number, excerpt in cited.items()]


def quote(excerpts: Sequence[Excerpt]) -> tuple[str, list[Citation]]:
    """The best sentence in its own words, without numbers that lead somewhere else: to the document's own notes."""
    best = excerpts[0].best
    return f"“{' '.join(_NUMBER.sub('', best.text).split())}” [1]", [_citation(1, best)]


def _citation(number: int, excerpt: Excerpt) -> Citation:
    hit = excerpt.hit
    return Citation(number, hit.path, *excerpt.place, excerpt.text, hit.chunk, hit.document, hit.relevance)
