"""An upstream's own error in OpenAI's shape.

vLLM names its errors by Python classes, puts the HTTP status where OpenAI has a code, and prints validation errors as
Python dictionaries; other servers differ again. Clients of the gateway meet one shape.
"""

import re
from collections.abc import Sequence

import msgspec

from gateway.router_errors import router_error
from gateway.upstream import Header
from gateway.upstream.failures import TurnedAway
from sluice.errors import SluiceError, UpstreamRefused

_VALIDATION = re.compile(r"'loc': '(?:body\.)?(?P<loc>[^']*)', 'msg': (?P<quote>['\"])(?P<msg>.*?)(?P=quote)")
_CODE = re.compile(r"[ -~]{1,100}")
"""Codes stand in usage records; PostgreSQL takes no NUL, and nobody wants a page of text there."""
_TOO_LONG = re.compile(r"maximum context length|max_model_len|maximum model length", re.IGNORECASE)


class _Error(msgspec.Struct):
    message: str = ""
    param: str | None = None
    code: str | int | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error | str | None = None
    message: str | None = None
    detail: str | None = None


def error_of(status: int, body: bytes, headers: Sequence[Header] = ()) -> SluiceError:
    """The error to tell the client for an upstream's answer with a status of 300 or more."""
    if status < 400:
        return TurnedAway(
            f"The upstream answered with a redirect ({status}).", fix="Ask the operator to check the route's URL."
        )
    if status in (401, 403, 407):
        return TurnedAway(
            f"The upstream refused the gateway's own credentials ({status}).",
            fix="Ask the operator to check the route's key.",
        )
    if body[:1] != b"{" and (by_router := router_error(body.decode("utf-8", "replace"))):
        return by_router
    error = _read(body)
    message = error.message.strip() or f"The upstream answered {status} without a message."
    param = error.param.removeprefix("body.") if error.param else None
    if found := _VALIDATION.search(message):
        param = found["loc"] or param
        message = f"'{found['loc']}': {found['msg']}."
    code = recordable(error.code) if isinstance(error.code, str) else None
    if status == 400 and _TOO_LONG.search(message):
        code = "context_length_exceeded"
    if status == 404 and param == "model":
        code = "model_not_found"
    retry_after = next((value for name, value in headers if name == b"retry-after"), None)
    return UpstreamRefused(message, status=status, param=param, code=code, retry_after=retry_after)


def recordable(code: str | int | None) -> str | None:
    """An upstream's error code, if it may stand in a usage record and in a response."""
    return str(code) if code is not None and _CODE.fullmatch(str(code)) else None


def _read(body: bytes) -> _Error:
    try:
        parsed = msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Error(message="" if body.lstrip()[:1] == b"<" else body[:500].decode("utf-8", "replace"))
    if isinstance(parsed.error, _Error):
        return parsed.error
    return _Error(message=parsed.error or parsed.message or parsed.detail or "")
