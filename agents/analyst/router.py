"""The first step: what kind of question it is."""

import re
from functools import cache

from agents.analyst.shortlist import Ranked, Shortlist
from agents.analyst.tasks import ABOUT_ONE_CUSTOMER, EXAMPLES, ROUTES

CUSTOMER_ID = re.compile(r"\b\d{4}-[A-Z]{5}\b", re.IGNORECASE)
UNLIKELY = 0.5
"""What a tool's score is worth where the question names a customer and it needs none, or the other way round."""


def rank_routes(question: str) -> list[Ranked]:
    """All routes, best first; a route fits as well as its best tool does."""
    fits = {ranked.name: ranked.score for ranked in rank_tools(question)}
    ranked = [Ranked(route.name, max(fits[tool] for tool in route.tools or ("none",))) for route in ROUTES.values()]
    return sorted(ranked, key=lambda route: route.score, reverse=True)


def rank_tools(question: str) -> list[Ranked]:
    """All tools and `none`, best first."""
    named = CUSTOMER_ID.search(question) is not None
    words = CUSTOMER_ID.sub("the customer", question)
    ranked = [
        Ranked(tool.name, tool.score * (1 if (tool.name in ABOUT_ONE_CUSTOMER) == named else UNLIKELY))
        for tool in _shortlist().rank(words)
    ]
    return sorted(ranked, key=lambda tool: tool.score, reverse=True)


def find_customer(said: list[str]) -> str | None:
    """The customer named last."""
    found = (CUSTOMER_ID.findall(text) for text in reversed(said))
    return next((ids[-1].upper() for ids in found if ids), None)


@cache
def _shortlist() -> Shortlist:
    return Shortlist(EXAMPLES)
