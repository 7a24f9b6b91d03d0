"""Structured logs: one JSON object a line on standard error, for programs to read and for `sluice logs` to show."""

import json
import logging
import re
import sys
import time
from typing import Any

SECRET = re.compile(
    r"(sk-[A-Za-z0-9]+-[a-z0-9]{12}-|sk-|Bearer )[A-Za-z0-9._~+/-]{8,}=*"
    r"|(://[^\s:/@]{0,64}:)[^\s/@]+(?=@)"
)
"""Keys, bearer tokens, and passwords in URLs; a key's public part stays readable."""


class JsonLines(logging.Formatter):
    """Formats a record as JSON, with secrets blacked out wherever they stand."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (UTC, ISO 8601), level, logger, message, and the traceback if there is one."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
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
