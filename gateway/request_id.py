"""The id of a request: which gateway process answered it, and its number there."""

import itertools
import os
import re
import time

BOOT = f"{time.time_ns() // 1_000_000:012x}{os.urandom(4).hex()}"
"""Names this process among all gateways that ever ran."""
REQUEST_ID = re.compile(rb"req-[0-9a-f]{28,36}")
_numbers = itertools.count()


def new_request_id() -> str:
    """A unique id; those of one process sort by time, which keeps the usage table's index compact."""
    return f"req-{BOOT}{next(_numbers):08x}"


def boot_of(request_id: str) -> str:
    """The `BOOT` of the process that answered a request."""
    return request_id[4 : 4 + len(BOOT)]
