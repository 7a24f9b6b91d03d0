"""One line in the log for a request: what it was and how it ended, without a word of what it said."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.exchange import Exchange

log = logging.getLogger("gateway.access")


def log_access(exchange: "Exchange") -> None:
    """Write the line of a request that has ended: a warning where the gateway or the upstream failed."""
    usage = exchange.token_usage()
    method = exchange.request.method.decode()
    fields = {
        "method": method,
        "path": exchange.endpoint.path,
        "status": exchange.status,
        "error": exchange.error,
        "duration_ms": round(exchange.duration * 1000, 3),
        "model": exchange.route or None,
        "key": exchange.identity and exchange.identity.key_id,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens or 0,
        "trace": f"{exchange.trace.trace_id:032x}" if exchange.trace is not None else None,
    }
    level = logging.WARNING if exchange.failed else logging.INFO
    log.log(
        level,
        "%s %s %d",
        method,
        exchange.endpoint.path,
        exchange.status,
        extra={"fields": fields},
    )
