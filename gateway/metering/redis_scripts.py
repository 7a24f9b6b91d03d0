"""The scripts that Redis runs for the ledger, and the bytes of calling them."""

from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path

FOLDER = Path(__file__).parent / "lua"
SHARED = (FOLDER / "accounts.lua").read_text("utf-8")


class Script:
    """One file of `lua/`, behind what they share."""

    def __init__(self, name: str) -> None:
        self.text = f"{SHARED}\n{(FOLDER / name).read_text('utf-8')}"
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest().encode()

    def head(self, keys: Sequence[bytes], arguments: int, further_keys: int = 0) -> bytes:
        """The begin of a call; `further_keys` and as many arguments are to follow."""
        whole = len(keys) + further_keys
        parts = (b"EVALSHA", self.sha, b"%d" % whole, *keys)
        return b"*%d\r\n" % (3 + whole + arguments) + b"".join(map(bulk, parts))

    def call(self, keys: Sequence[bytes], *arguments: bytes) -> bytes:
        """A whole call."""
        return self.head(keys, len(arguments)) + b"".join(map(bulk, arguments))


def bulk(value: bytes) -> bytes:
    """A value as Redis' protocol has it."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


LEASE = Script("lease.lua")
SETTLE = Script("settle.lua")
OPEN = Script("open.lua")
RESTORE = Script("restore.lua")
ENTER = Script("enter.lua")
ALL = (LEASE, SETTLE, OPEN, RESTORE, ENTER)
