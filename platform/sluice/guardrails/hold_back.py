"""The bounded hold-back: text comes in pieces, and goes on only when it can no longer be part of a violation."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from sluice.guardrails.finding import CONTEXT, Action, Finding, Validator


@dataclass(frozen=True)
class Check:
    """One validator at work.

    Attributes:
        find: what it finds in a text, in order of start; `settled`: as of the detectors, see `pii.settled`.
    """

    validator: Validator
    action: Action
    find: Callable[[str], list[Finding]]
    settled: Callable[[str, int], int]


Found = Callable[[Check, str], None]
"""Told of each violation once: the check, and the kind of what it found."""


class HoldBack:
    """One text on its way out. What comes out is the same for every way to cut what goes in.

    Args:
        window: the most characters kept back; at least what the checks' findings span with their `CONTEXT`.

    Attributes:
        blocked: a violation was met that ends the text; nothing more is released.
    """

    def __init__(self, checks: tuple[Check, ...], window: int, found: Found) -> None:
        self._checks = checks
        self._window = window
        self._found = found
        self._text: str = ""
        self._decided = 0  # of `_text`: no finding that starts before this is still to come
        self._covered = 0  # of `_text`: the end of the last redacted span, which may lie ahead
        self.blocked = False

    def feed(self, text: str) -> str:
        """Take the next piece; the text that may be released now, often none."""
        if self.blocked:
            return ""
        self._text += text
        settled = [check.settled(self._text, self._decided) for check in self._checks]
        return self._release(max(len(self._text) - self._window, min(settled, default=len(self._text))))

    def finish(self) -> str:
        """The text has ended: release the rest."""
        return "" if self.blocked else self._release(len(self._text))

    def _release(self, until: int) -> str:
        """Decide on all findings that start before `until`."""
        if until <= self._decided:
            return ""
        parts: list[str] = []
        place = max(self._decided, self._covered)
        for check, finding in self._findings(until):
            if check.action == "block":
                self._found(check, finding.kind)
                self.blocked = True
                return "".join([*parts, self._kept(place, finding.start)])
            if finding.start >= self._covered:
                self._found(check, finding.kind)
                parts += self._kept(place, finding.start), f"[{finding.kind}]"
            place = self._covered = max(self._covered, finding.end)
        parts.append(self._kept(place, until))
        self._forget(until)
        return "".join(parts)

    def _findings(self, until: int) -> list[tuple[Check, Finding]]:
        """In order of start; where several start, one that blocks first, then the longest."""
        found = [
            (check, finding)
            for check in self._checks
            for finding in check.find(self._text)
            if self._decided <= finding.start < until
        ]
        return sorted(found, key=lambda pair: (pair[1].start, pair[0].action != "block", -pair[1].end))

    def _kept(self, start: int, end: int) -> str:
        """What stands for `text[start:end]` in what is released."""
        return self._text[start:end]

    def _forget(self, until: int) -> None:
        """Keep no more than later findings depend on."""
        dropped = max(0, until - CONTEXT)
        self._text = self._text[dropped:]
        self._decided = until - dropped
        self._covered = max(0, self._covered - dropped)


_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\u[0-9a-fA-F]{0,3}\Z|\\[^u]|.", re.DOTALL)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _meant(written: str) -> str:
    if len(written) == 6:
        return chr(int(written[2:], 16))
    return _SHORT.get(written[1], written[1]) if len(written) == 2 else written


def _is_begun(written: str) -> bool:
    return written == "\\" or (written.startswith("\\u") and len(written) < 6)


class JsonHoldBack(HoldBack):
    r"""The hold-back for text that is itself JSON, such as a tool call's arguments.

    It looks at what the strings mean, so that `\u0040` does not hide an `@`, and releases them as they were written.
    """

    def __init__(self, checks: tuple[Check, ...], window: int, found: Found) -> None:
        super().__init__(checks, window, found)
        self._written: list[str] = []  # for each character of `_text`, what was written for it
        self._begun = ""  # an escape that is not complete

    def feed(self, text: str) -> str:
        written: list[str] = [match[0] for match in _ESCAPE.finditer(self._begun + text)]
        self._begun = written.pop() if written and _is_begun(written[-1]) else ""
        self._written += written
        return super().feed("".join(map(_meant, written)))

    def finish(self) -> str:
        self._written += self._begun
        self._text += self._begun
        self._begun = ""
        return super().finish()

    def _kept(self, start: int, end: int) -> str:
        return "".join(self._written[start:end])

    def _forget(self, until: int) -> None:
        before = len(self._text)
        super()._forget(until)
        del self._written[: before - len(self._text)]
