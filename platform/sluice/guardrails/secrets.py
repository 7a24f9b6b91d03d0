"""Secrets by the formats their issuers gave them, and what is assigned to a name such as `api_key` and looks random."""

import math
import re
from collections import Counter

from sluice.guardrails.finding import EDGE, Finding, after_last_break, in_order

_TOKENS = {
    "AWS_KEY": rf"(?:AKIA|ASIA)[A-Z0-9]{{16}}{EDGE}",
    "GITHUB_TOKEN": r"gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}",
    "GITLAB_TOKEN": r"glpat-[\w-]{20}",
    "SLACK_TOKEN": r"xox[abeoprs]-[A-Za-z0-9-]{10}|hooks\.slack\.com/services/T[A-Z0-9]{6}",
    "STRIPE_KEY": r"[rs]k_(?:live|test)_[A-Za-z0-9]{16}",
    "API_KEY": r"sk-(?:proj-|svcacct-|admin-|ant-|sluice-)?[A-Za-z0-9][\w-]{19}",
    "GOOGLE_KEY": r"AIza[\w-]{35}|GOCSPX-[\w-]{28}|ya29\.[\w-]{20}",
    "HUGGING_FACE_TOKEN": r"hf_[A-Za-z0-9]{30}",
    "REGISTRY_TOKEN": r"npm_[A-Za-z0-9]{36}|pypi-[\w-]{16}",
    "SENDGRID_KEY": r"SG\.[\w-]{22}\.[\w-]{20}",
    "TWILIO_KEY": rf"SK[0-9a-f]{{32}}{EDGE}",
    "DIGITALOCEAN_TOKEN": r"do[oprt]_v1_[a-f0-9]{64}",
    "JWT": r"eyJ[\w-]{8,190}\.eyJ[\w-]{8}",
    "PRIVATE_KEY": r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
    "URL_PASSWORD": r"[a-z][a-z0-9+.-]{1,12}://[^\s:/@\[\]]{1,64}:[^\s:/@\[\]]{3,64}@",
}
_TOKEN = re.compile(rf"{EDGE}(?={'|'.join(f'(?P<{kind}>{form})' for kind, form in _TOKENS.items())})")

_NAME = (
    r"(?:(?:api|access|auth|secret|private|client|encryption|signing)[_ -]?(?:key|token|secret)|secret|token|"
    r"passw(?:or)?d|passphrase|credential)s?"
)
_ASSIGNED = re.compile(
    rf"{EDGE}(?=([A-Za-z0-9]{{0,24}}?{_NAME}[\"']?\s{{0,3}}(?:=>|:=|[:=])\s{{0,3}}[\"']?([A-Za-z0-9_+/.=~-]{{16,64}})))",
    re.IGNORECASE,
)
_ASSIGNING = re.compile(rf"{_NAME}[\"']?\s{{0,3}}(?:(?:=>|:=|[:=])\s{{0,3}})?\Z", re.IGNORECASE)
_WORDED = re.compile(r"(?:api|access|auth|secret|private|client|encryption|signing)\Z", re.IGNORECASE)
LONGEST_NAME = 32
"""A name with what may stand between it and its value."""
LONGEST_HEADER = 80
RANDOM_BITS = 3.5
"""Bits of entropy a character from which a value counts as random; words and paths have less, or no digit."""


def find(text: str) -> list[Finding]:
    """All secrets in a text, in order of their starts; of a long one as much as tells it."""
    found = [Finding(kind, *match.span(kind)) for match in _TOKEN.finditer(text) if (kind := match.lastgroup)]
    for match in _ASSIGNED.finditer(text):
        if _looks_random(match[2]):
            found.append(Finding("ASSIGNED_SECRET", match.start(1), match.end(1)))
    return in_order(found)


def settled(text: str, start: int) -> int:
    """How far it is certain, whatever follows, what is found that starts at `start` or later."""

    def is_open(place: int) -> bool:
        name = max(start, place - LONGEST_NAME)
        return (
            _ASSIGNING.search(text, name, place) is not None
            or _WORDED.search(text, name, place) is not None
            or text.find("-----BEGIN", max(start, place - LONGEST_HEADER), place) >= 0
        )

    return after_last_break(text, start, is_open)


def _looks_random(value: str) -> bool:
    kinds = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    shares = (count / len(value) for count in Counter(value).values())
    return kinds and -sum(share * math.log2(share) for share in shares) >= RANDOM_BITS
