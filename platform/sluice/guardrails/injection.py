"""Prompt injection by phrases, each with a weight; what adds up to 1 within `SPAN` characters is a finding.

Phrases are looked for in a folded copy of the text, so that other alphabets' look-alikes, accents, invisible characters
and l e t t e r s  s e t  a p a r t do not hide them. This finds the attacks that are passed around; it does not
understand a text (docs/guardrails.md has what it finds and what it misses).
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import regex

from sluice.guardrails.finding import LONGEST, Finding, is_edge

SPAN = LONGEST["injection"]
GAP = r"[^\w\[\]]{1,6}"
SOME = rf"(?:\w{{1,14}}{GAP}){{0,4}}?"
"""Up to four words between."""


class Phrase(NamedTuple):
    """How it starts (one word, no gap), how it goes on, and how much it weighs."""

    first: str
    rest: str
    weight: float


_ORDERS = (
    r"(?:instruct\w{0,6}|rules?|prompts?|directives?|guidelines?|commands?|programming|training|restrictions|"
    r"orders|polic(?:y|ies)|limitations|safeguards|filters)"
)
_PRIOR = r"(?:previous|prior|above|earlier|preceding|foregoing|initial|original|system|your|any|all|openai\w{0,2})"
_DROP = r"(?:ignor|disregard|overlook|bypass|overrid|neglect|circumvent|disobey|forget|forgot|violat)(?:e|es|ed|ing|ting|ten)?"

PHRASES = (
    # The instructions are to be dropped.
    Phrase(_DROP, rf"{GAP}{SOME}{_PRIOR}{GAP}{SOME}{_ORDERS}", 1),
    Phrase(_DROP, rf"{GAP}(?:(?:all|everything|anything|what)(?:{GAP}\w{{1,10}}){{0,2}}{GAP}(?:above|previous|prior)|the{GAP}above)", 1),
    Phrase(_DROP, rf"{GAP}{SOME}(?:been|were){GAP}(?:instructed|told|taught|programmed|trained)", 1),
    Phrase("ignor(?:e|a|ez|iere|are)", rf"{GAP}{SOME}(?:instruc\w{{1,8}}|anweisung\w{{0,2}}|istruzion\w|indicacion\w{{0,2}})", 1),
    Phrase("(?:new|updated|real|actual)", rf"{GAP}(?:system{GAP})?(?:instructions|prompt|task|orders){GAP}(?:are|is|follow)", 0.6),
    Phrase("(?:forget|ignore|disregard)", rf"{GAP}(?:everything|anything|all){GAP}(?:i{GAP}|that{GAP}|you{GAP}|from{GAP}|before|above|said)", 1),
    # The hidden is to be shown.
    Phrase(
        "(?:reveal|show|print|repeat|output|display|tell|give|leak|disclose|write)",
        rf"{GAP}{SOME}(?:your|the|system|hidden|initial|secret){GAP}{SOME}(?:system{GAP}prompt|initial{GAP}prompt|hidden{GAP}prompt|"
        rf"(?:initial|original|system|hidden|secret){GAP}instructions)",
        1,
    ),
    Phrase("(?:your|the|our|she|he|their)", rf"{GAP}(?:secret|system|admin){GAP}(?:key|code|password|prompt|passphrase)", 0.5),
    Phrase(
        "(?:share|confirm|provide|give|tell|reveal|what|access)",
        rf"{GAP}{SOME}(?:the|your|my|our|ours){GAP}(?:password|passcode|credentials|secret{GAP}key)",
        0.6,
    ),
    # Another self, without limits.
    Phrase("do", rf"{GAP}anything{GAP}now", 1),
    Phrase("(?:dan|stan|dude|aim|evil|devmode|jailbreak|mongo)", rf"{GAP}(?:mode|prompt|bot|\d)", 0.6),
    Phrase("jailbr(?:eak|oken)\\w{0,5}", "", 0.6),
    Phrase("(?:developer|dev|god|system|sudo|admin|debug|maintenance|opposite)", rf"{GAP}(?:mode|override|reset)", 0.7),
    Phrase("security", rf"{GAP}override", 1),
    Phrase("(?:pretend|imagine|act|behave|respond|answer|roleplay|simulate)", rf"(?:ing)?{GAP}(?:to{GAP}be|as|you|like|that{GAP}you){GAP}", 0.3),
    Phrase("(?:take|play|assume|immerse|adopt)", rf"{GAP}{SOME}(?:role|character|persona|personality)", 0.4),
    Phrase("(?:roleplay|role|simulate|emulate|transform)", rf"(?:{GAP}play)?(?:ing|s)?{GAP}(?:as|into|an?){GAP}", 0.3),
    Phrase("you", rf"{GAP}(?:are|will|re){GAP}(?:now|about|going|no{GAP}longer|to){GAP}\w", 0.3),
    Phrase("from", rf"{GAP}(?:now|here|this{GAP}(?:moment|point)){GAP}(?:on|forward|until)", 0.3),
    Phrase("(?:stay|remain|break\\w{0,3}|keep)", rf"{GAP}(?:in{GAP}|out{GAP}of{GAP}|the{GAP}|your{GAP})?character", 0.5),
    Phrase("(?:broken?|free|freed|escaped?)", rf"{GAP}{SOME}(?:free|confines|shackles|limits|chains|restrictions|constraints)", 0.6),
    Phrase(
        "(?:without|no|any|free|bypass|ignor\\w{1,3}|lack\\w{0,3}|not)",
        rf"{GAP}{SOME}(?:restrict\w{{1,5}}|filter\w{{0,4}}|limit(?:s|ations?)|censor\w{{0,5}}|morals?|ethics|ethical|guidelines|warnings?|disclaimers?|boundaries|constraints|rules|remorse)",
        0.5,
    ),
    Phrase("(?:unfiltered|uncensored|unrestricted|amoral|unethical|immoral|unlimited|unbound|unhinged)", "", 0.5),
    Phrase("(?:ethical|moral|openai|content|safety|legal|policy)", rf"(?:s|{GAP}s)?{GAP}(?:content{GAP})?(?:guidelines|polic(?:y|ies)|restrictions|concerns|rules|filters?|standards|principles)", 0.5),
    Phrase("openai", rf"(?:{GAP}s|s)?{GAP}(?:rules|polic(?:y|ies)|guidelines|content|restrictions)", 0.4),
    Phrase("(?:break|breaks|breaking|broke)", rf"{GAP}{SOME}(?:rules|restrictions|laws)", 0.4),
    Phrase(
        "(?:not|doesn|don|isn|never|won)",
        rf"(?:{GAP}t)?{GAP}{SOME}(?:care|follow|abide|adhere|bound|concern\w{{0,3}}|restrained|controlled|confined|obligated|allowed{GAP}to{GAP}refuse)",
        0.4,
    ),
    Phrase("(?:illegal|harmful|dangerous|offensive|inappropriate|explicit|nsfw|malicious|evil|hacker)", "", 0.2),
    Phrase(
        "(?:never|not|cannot|can|don|won|without)",
        rf"(?:{GAP}t)?{GAP}{SOME}(?:refus(?:e|al|ing)|reject|declin(?:e|ing)|apologi[sz]e|say{GAP}(?:no|that{GAP}you|you)|deny|object)",
        0.5,
    ),
    Phrase("(?:always|must|will|shall|have)", rf"{GAP}{SOME}(?:comply|obey|answer{GAP}(?:all|every|any|me|my)|fulfil\w{{0,3}}|accept{GAP}(?:all|any|every))", 0.4),
    Phrase("(?:chatgpt|gpt|openai|claude|bard|llama|ai)", rf"(?:s|{GAP}s)?{GAP}{SOME}(?:mode|developed|response|persona|developer|jailbreak|language{GAP}model|chatbot)", 0.2),
    Phrase("(?:two|both|dual|second)", rf"{GAP}{SOME}(?:responses|answers|replies|paragraphs|outputs|ways|manners|styles)", 0.4),
    Phrase("(?:fictional|hypothetical|fictitious|imaginary)", rf"{GAP}{SOME}(?:character|story|world|scenario|setting|response|novel)", 0.3),
    Phrase("(?:my|the|your)", rf"{GAP}(?:first|next){GAP}(?:prompt|question|request|message|task|command|order)", 0.3),
    Phrase("(?:i|as)", rf"(?:{GAP}m|{GAP}am)?{GAP}(?:your|an?|the|ai){GAP}(?:creator|developer|god|admin\w{{0,10}}|programmer)", 0.4),
    Phrase("i", rf"{GAP}am{GAP}god", 0.6),
)  # fmt: skip
_LETTERS = [frozenset(re.findall(r"(?:^|[(:|])([a-z])", phrase.first)) for phrase in PHRASES]
_BY_LETTER = {
    letter: [
        (number, regex.compile(phrase.first + phrase.rest))
        for number, phrase in enumerate(PHRASES)
        if letter in _LETTERS[number]
    ]
    for letter in "abcdefghijklmnopqrstuvwxyz"
}
# In a text that folding only lower-cases, a word starts where its letters do. In any other, what was dropped may be an
# edge, so every letter counts as a start, and `is_edge` looks at the text itself.
_STARTS = {True: re.compile(r"(?<![a-z0-9])[a-z]"), False: re.compile("[a-z]")}

_LOOK_ALIKES = str.maketrans("асеорхуіјѕԁһӏтαεικνορτυχ", "aceopxyijsdhltaeiknoptux")
_SET_APART = re.compile(r"(?<![a-z0-9])[a-z][ ._*-](?=[a-z](?![a-z0-9]))")
_SETTING_APART = re.compile(r"(?<![a-z0-9])(?:[a-z][ ._*-])*[a-z]?\Z")


class _Match(NamedTuple):
    start: int
    end: int
    phrase: int


def find(text: str) -> list[Finding]:
    """All injections in a text; a finding reaches from its first phrase to the one that makes the weight full."""
    folded, places = _join(*_fold(text))
    matches: list[_Match] = []
    for begin in _starts(text, folded, places):
        end = bisect_left(places, places[begin] + SPAN)
        for number, pattern in _BY_LETTER[folded[begin]]:
            if match := pattern.match(folded, begin, end):
                matches.append(_Match(places[begin], places[match.end() - 1] + 1, number))
    starts = [match.start for match in matches]
    found: list[Finding] = []
    for place, start in enumerate(starts):
        within = matches[place : bisect_left(starts, start + SPAN)]
        brackets = (text.find(bracket, start, start + SPAN) for bracket in "[]")
        end = _end_of(within, min((place for place in brackets if place >= 0), default=start + SPAN))
        if end is not None:
            found.append(Finding("INJECTION", start, end))
    return found


def settled(text: str, start: int) -> int:
    """How far it is certain, whatever follows, what is found that starts at `start` or later.

    That is up to the first phrase that goes on, or that is complete and may become part of a finding.
    """
    unjoined, their_places = _fold(text)
    # Letters at the end that stand alone may still be joined: what they come to is not known yet.
    apart = _SETTING_APART.search(unjoined)
    known = len(unjoined) if apart is None else apart.start()
    folded, places = _join(unjoined[:known], their_places[:known])
    for begin in _starts(text, folded, places):
        if start <= places[begin]:
            for _, pattern in _BY_LETTER[folded[begin]]:
                match = pattern.match(folded, begin, partial=True)
                if match and (match.partial or len(text) - places[begin] < SPAN):
                    return places[begin]
    return max(start, their_places[known] if known < len(unjoined) else len(text))


def _starts(text: str, folded: str, places: Sequence[int]) -> Iterator[int]:
    """Where a phrase may start in the folded text."""
    for begin in _STARTS[isinstance(places, range)].finditer(folded):
        if is_edge(text, places[begin.start()]):
            yield begin.start()


def _end_of(matches: list[_Match], limit: int) -> int | None:
    """Where the weights of different phrases reach 1, if they do before `limit`."""
    weights: dict[int, float] = {}
    end = 0
    for match in matches:
        if match.end <= limit and match.phrase not in weights:
            weights[match.phrase] = PHRASES[match.phrase].weight
            end = max(end, match.end)
            if sum(weights.values()) >= 0.99:
                return end
    return None


def _fold(text: str) -> tuple[str, Sequence[int]]:
    """Lower-case ASCII as far as may be, and for each of its characters the place in `text` that it came from."""
    if text.isascii():
        return text.lower(), range(len(text))
    pieces = [_fold_character(character) for character in text]
    return "".join(pieces), [place for place, piece in enumerate(pieces) for _ in piece]


def _join(folded: str, places: Sequence[int]) -> tuple[str, Sequence[int]]:
    """Letters that are set apart, put together. Whether one is depends on its neighbours alone."""
    dropped = {match.end() - 1 for match in _SET_APART.finditer(folded)}
    if not dropped:
        return folded, places
    kept = [number for number in range(len(folded)) if number not in dropped]
    return "".join(folded[number] for number in kept), [places[number] for number in kept]


@lru_cache(4096)
def _fold_character(character: str) -> str:
    """Compatibility forms taken apart, without accents and what is not seen (Unicode categories Mn, Me and Cf)."""
    seen = (
        one for one in unicodedata.normalize("NFKD", character) if unicodedata.category(one) not in ("Mn", "Me", "Cf")
    )
    return "".join(seen).lower().translate(_LOOK_ALIKES)
