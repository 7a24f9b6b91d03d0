"""What a detector finds, and the rules that all detectors keep so that a stream can be checked piece by piece.

Whether a finding starts at a place depends on nothing but the two characters before it, the finding itself, which is at
most its validator's `LONGEST` characters, and the two after it. Every start is tried, so findings may overlap. So a text
has the same findings whole and in any pieces. No pattern takes `[` or `]`, and all have the same edges, so a label such
as `[EMAIL]` makes no new finding beside it.
"""

from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple

Validator = Literal["injection", "pii", "secrets"]
Action = Literal["block", "redact"]

CONTEXT: Final = 2
"""Characters beside a finding that it may depend on."""

LONGEST: Final[dict[Validator, int]] = {"injection": 256, "pii": 148, "secrets": 216}
"""The most characters that a finding of each validator may span."""

EDGE = r"(?:(?<![A-Za-z0-9])|(?![A-Za-z0-9]))"
"""Not between two letters or digits of ASCII; in text of other scripts a number still has its edges."""


class Finding(NamedTuple):
    """One violation: its kind, such as `EMAIL`, and where it is: `text[start:end]`."""

    kind: str
    start: int
    end: int


def is_edge(text: str, place: int) -> bool:
    """Whether `EDGE` holds before `text[place]`."""
    return not (0 < place < len(text) and _is_word(text[place - 1]) and _is_word(text[place]))


def _is_word(character: str) -> bool:
    return character.isascii() and character.isalnum()


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By start, of those at one place the longest first."""
    return sorted(findings, key=lambda finding: (finding.start, -finding.end))


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that overlap as one, of the kind of the first."""
    joined: list[Finding] = []
    for finding in in_order(findings):
        if joined and finding.start < joined[-1].end:
            joined[-1] = joined[-1]._replace(end=max(joined[-1].end, finding.end))
        else:
            joined.append(finding)
    return joined


def redacted(text: str, findings: Iterable[Finding]) -> str:
    """The text with a label such as `[EMAIL]` for exactly what was found."""
    parts: list[str] = []
    place = 0
    for finding in merged(findings):
        parts += text[place : finding.start], f"[{finding.kind}]"
        place = finding.end
    return "".join([*parts, text[place:]])


def after_last_break(text: str, start: int, is_open: Callable[[int], bool]) -> int:
    """The place after the last white space at which no finding can be under way; `start` where there is none.

    Args:
        is_open: whether a finding that starts at `start` or later may go on across the white space at a place.
    """
    for place in range(len(text) - 1, start - 1, -1):
        if text[place].isspace() and not is_open(place):
            return place + 1
    return start
