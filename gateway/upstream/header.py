"""A header on the wire."""

Header = tuple[bytes, bytes]
"""Name in lower case, and value."""
