"""Structured logs: one JSON object a line on standard error, for programs to read and for `sluice logs` to show."""

import json
import logging
import re
import sys
import time
from contextvars import ContextVar
from typing import Any

SECRET = re.compile(
    r"(sk-[A-Za-z0-9]+-[a-z0-9]{12}-|sk-|Bearer )[A-Za-z0-9._~+/-]{8,}=*"
    r"|(://[^\s:/@]{0,64}:)[^\s/@]+(?=@)"
)
"""Keys, bearer tokens, and passwords in URLs; a key's public part stays readable."""

HANDLED_REQUEST: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is being handled; set in its task, so that whatever is logged on its behalf can be found by its id."""


class JsonLines(logging.Formatter):
    """Formats a record as JSON, with secrets blacked out wherever they stand.

    A record's `extra={"fields": {...}}` become fields of the line; those that are None are left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Time (UTC, ISO 8601), level, logger, message, the request's id if there is one, fields, and the traceback."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if request_id := HANDLED_REQUEST.get():
            line["request_id"] = request_id
        fields: dict[str, Any] = getattr(record, "fields", {})
        for name, value in fields.items():
            if value is not None:
                line[name] = redact(value) if isinstance(value, str) else value
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def redact(text: str) -> str:
    """The text with every key, bearer token and URL's password replaced by `***`."""
    return SECRET.sub(r"\1\2***", text)


def configure(level: str) -> None:
    """Send everything of `level` and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
