"""A header on the wire."""

from collections.abc import Collection

Header = tuple[bytes, bytes]
"""Name in lower case, and value."""


def render(headers: Collection[Header]) -> bytes:
    """Headers, each with its line end.

    Raises:
        ValueError: one holds a line break.
    """
    rendered = b""
    for header in headers:
        rendered += b"%b: %b\r\n" % header
    if rendered.count(b"\n") != len(headers) or rendered.count(b"\r") != len(headers):
        raise ValueError("a header holds a line break")
    return rendered
