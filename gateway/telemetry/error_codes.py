"""The error codes that may be labels of metrics. An upstream writes its own, which could be anything."""

from collections.abc import Iterator

from sluice.errors import SluiceError

OTHER = "other"
"""Stands for every code that is not the gateway's own."""

_FURTHER = (
    *("cancelled", "context_length_exceeded", "headers_too_large", "internal_error", "invalid_http", "invalid_json"),
    *("model_not_found", "service_error", "upstream_error"),
)
"""Codes that errors are given one by one."""


def known_codes() -> frozenset[str]:
    """The codes of all errors that this process knows."""
    return frozenset({*_FURTHER, *(error.code for error in _classes(SluiceError) if error.code)})


def _classes(error: type[SluiceError]) -> Iterator[type[SluiceError]]:
    yield error
    for derived in error.__subclasses__():
        yield from _classes(derived)
