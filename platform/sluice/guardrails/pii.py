"""Personal data by patterns, checksums and lengths: e-mail, phone, credit card, IBAN, US social security number, IP."""

import re
from collections.abc import Iterator
from ipaddress import IPv6Address

from sluice.guardrails.finding import EDGE, Finding, after_last_break, in_order, is_edge

SPACED = 66
"""The longest finding that may hold a space, an IBAN; each has a digit before its first one."""

_DIGIT = re.compile("[0-9]")
# Each pattern is looked for at every place (a look-ahead takes nothing away from the next), within an edge on both sides.
_EMAIL = re.compile(rf"{EDGE}(?=([\w.%+'-]{{1,64}}+@\w[\w.-]{{0,60}}\.[^\W\d_]{{2,20}}{EDGE}))")
_PHONES = (
    r"\+[0-9]{1,3}[ .-]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9](?:[ .-]?[0-9]){5,11}",
    r"00[0-9](?:[ .-]?[0-9]){8,12}",
    # North America, with an extension.
    r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}(?: ?(?:x|ext\.?) ?[0-9]{1,6})?",
    # A national number in groups, and no date.
    rf"(?![0-9]{{2}}(?P<d>[ ./-])[0-9]{{2}}(?P=d)[0-9]{{4}}{EDGE})"
    r"0[0-9]{1,4}(?P<s>[ ./-])(?:[0-9]{2,4}(?P=s)){1,3}[0-9]{2,4}",
    r"0[0-9]{2,4}[ ./-][0-9]{6,8}",
    r"[0-9]{2}(?P<p>[ .-])[0-9]{2}(?P=p)[0-9]{2}(?P=p)[0-9]{2}",
    r"[0-9]{2}(?P<q>[ .-])[0-9]{3}(?P=q)[0-9]{3}(?P=q)[0-9]{4}",
)
_PHONE = re.compile(rf"{EDGE}(?=((?:{'|'.join(_PHONES)}){EDGE}))")
_SSN = re.compile(rf"{EDGE}(?=((?!000|666|9)[0-9]{{3}}([ -])(?!00)[0-9]{{2}}\2(?!0000)[0-9]{{4}}{EDGE}))")
_CARD = re.compile(rf"{EDGE}(?=([1-6](?:[ -]?[0-9]){{11,18}}))")
_IBAN = re.compile(rf"{EDGE}(?=([A-Z]{{2}}[0-9]{{2}}(?: ?[A-Z0-9]){{11,30}}))", re.IGNORECASE | re.ASCII)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_IPV4 = re.compile(rf"{EDGE}(?=((?:{_OCTET}\.){{3}}{_OCTET}{EDGE}))")
_IPV6 = re.compile(rf"{EDGE}(?=([0-9a-f]{{1,4}}(?::[0-9a-f]{{0,4}}){{1,6}}:[0-9a-f]{{1,4}}{EDGE}))", re.IGNORECASE)

_CARD_LENGTHS = (
    (re.compile("4"), (13, 16, 19)),
    (re.compile("5[1-5]|2[2-7]"), (16,)),
    (re.compile("3[47]|2131|1800"), (15,)),
    (re.compile("3[068]"), (14,)),
    (re.compile("35|6"), (16, 17, 18, 19)),
    (re.compile("5[06-8]|67"), (12, 13, 14, 15, 16, 17, 18, 19)),
)
"""Of the networks, by their first digits (ISO/IEC 7812)."""

_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in (
        line.split(maxsplit=1)
        for line in """15 NO
        16 BE
        18 DK FI FO GL NL SD FK
        19 MK SI
        20 AT BA EE KZ LT LU XK MN
        21 CH HR LI LV
        22 BG BH CR DE GB GE IE ME RS VA
        23 AE GI IL IQ OM SO TL
        24 AD CZ ES MD PK RO SA SE SK TN VG
        25 LY PT ST
        26 IS TR
        27 BI DJ FR GR IT MC MR SM
        28 AL AZ BY CY DO GT HU LB PL SV NI
        29 BR EG PS QA UA
        30 JO KW MU
        31 MT SC
        32 LC
        33 RU""".splitlines()
    )
    for country in countries.split()
}
"""Characters of an account number, by country (SWIFT's IBAN registry)."""


def find(text: str) -> list[Finding]:
    """All personal data in a text, in order of its starts."""
    found: list[Finding] = []
    if "@" in text:
        found += _matches("EMAIL", _EMAIL, text)
    if _DIGIT.search(text):
        found += _matches("PHONE", _PHONE, text)
        found += _matches("US_SSN", _SSN, text)
        found += _matches("IP_ADDRESS", _IPV4, text)
        found += _cards(text)
        found += _ibans(text)
    if ":" in text:
        found += _ipv6(text)
    return in_order(found)


def settled(text: str, start: int) -> int:
    """How far it is certain, whatever follows, what is found that starts at `start` or later."""

    def is_open(place: int) -> bool:
        return text[place] == " " and _DIGIT.search(text, max(start, place - SPACED), place) is not None

    return after_last_break(text, start, is_open)


def _matches(kind: str, pattern: re.Pattern[str], text: str) -> Iterator[Finding]:
    return (Finding(kind, match.start(1), match.end(1)) for match in pattern.finditer(text))


def _cards(text: str) -> Iterator[Finding]:
    """From each start the longest number that is as long as its network's cards are, and has their checksum."""
    for match in _CARD.finditer(text):
        digits = match[1].replace(" ", "").replace("-", "")
        lengths = {length for start, some in _CARD_LENGTHS if start.match(digits) for length in some}
        for length in sorted(lengths, reverse=True):
            end = _end_of(text, match.start(1), length) if length <= len(digits) else None
            if end is not None and is_edge(text, end) and _luhn(digits[:length]):
                yield Finding("CREDIT_CARD", match.start(1), end)
                break


def _ibans(text: str) -> Iterator[Finding]:
    for match in _IBAN.finditer(text):
        characters = match[1].replace(" ", "").upper()
        length = _IBAN_LENGTHS.get(characters[:2], 0)
        if not 0 < length <= len(characters):
            continue
        end = _end_of(text, match.start(1), length)
        number = "".join(str(int(one, 36)) for one in characters[4:length] + characters[:4])
        if is_edge(text, end) and int(number) % 97 == 1:
            yield Finding("IBAN", match.start(1), end)


def _ipv6(text: str) -> Iterator[Finding]:
    for finding in _matches("IP_ADDRESS", _IPV6, text):
        try:
            IPv6Address(text[finding.start : finding.end])
        except ValueError:
            continue
        yield finding


def _end_of(text: str, start: int, characters: int) -> int:
    """The place after so many characters that are no separator."""
    place = start
    while characters:
        characters -= text[place] not in " -"
        place += 1
    return place


def _luhn(digits: str) -> bool:
    """The checksum of ISO/IEC 7812."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(value - 9 * (value > 9) for value in doubled)) % 10 == 0
