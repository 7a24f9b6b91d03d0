"""Which process runs a call, so that another one can tell a slow process from a dead one."""

import os
import socket
from typing import Any

import psutil

Claim = dict[str, Any]


def own_claim() -> Claim:
    """This process: host, number, and the start time that tells it from a later process of the same number."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": psutil.Process().create_time()}


def is_abandoned(claim: Claim) -> bool:
    """Whether the process of a claim has ended; of one on another host nothing is known, so it counts as living."""
    if claim["host"] != socket.gethostname():
        return False
    try:
        return psutil.Process(claim["pid"]).create_time() != claim["started"]
    except psutil.NoSuchProcess:
        return True
