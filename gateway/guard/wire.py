"""An answer's JSON: reading it, writing it, and which of its parts a guard lets through."""

import json
from typing import Any, cast

from sluice.errors import UpstreamFailed

KEPT = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "usage")
"""Fields of an answer, or of an event, that hold no text of a model; others are left out, since nothing checks them."""
FILTERED = "content_filter"
"""The finish reason of a choice that ended at a violation."""


def fields_of(value: Any) -> dict[str, Any]:
    """A part of an answer that must be a JSON object.

    Raises:
        UpstreamFailed: it is something else.
    """
    if not isinstance(value, dict):
        raise not_checkable()
    return cast("dict[str, Any]", value)


def items_of(value: Any) -> list[Any]:
    """A part that must be a list, or missing; raises as `fields_of`."""
    if value is not None and not isinstance(value, list):
        raise not_checkable()
    return cast("list[Any] | None", value) or []


def number_of(value: Any) -> int:
    """A part that must be a whole number; raises as `fields_of`."""
    if not isinstance(value, int):
        raise not_checkable()
    return value


def not_checkable() -> UpstreamFailed:
    """The answer cannot be checked, so it is not sent."""
    return UpstreamFailed("The upstream's answer has a shape that the key's guardrail policy cannot check.")


def decoded(data: bytes) -> dict[str, Any]:
    """What an upstream sent. The standard library's decoder takes half a surrogate pair, which others send.

    Raises:
        UpstreamFailed: it is no JSON object.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise UpstreamFailed(
            "The upstream's answer is not JSON, so the key's guardrail policy cannot check it."
        ) from None
    return fields_of(value)


def encoded(value: dict[str, Any]) -> bytes:
    """As JSON in ASCII: half a surrogate pair has no UTF-8."""
    return json.dumps(value, separators=(",", ":")).encode()
