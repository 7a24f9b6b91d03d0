"""Two people for the demo: their keys, made once and kept in a file only its owner can read."""

import json
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine

from sluice.errors import NotAuthenticated
from sluice.identity import create_key, identify, list_keys, revoke_key
from sluice.saving import save_whole

KEY_NAME = "demo churn"


def keys_of(engine: Engine, path: Path, owners: Sequence[str]) -> list[str]:
    """A valid key of each owner: the one in the file, or a new one. They may use no model, only sign.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    kept: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
    keys = {owner: kept[owner] for owner in owners if owner in kept and _is_valid(engine, kept[owner])}
    if missing := [owner for owner in owners if owner not in keys]:
        for row in list_keys(engine):  # of a run that was killed before it wrote the file
            if row.name == KEY_NAME and row.owner in missing and row.revoked_at is None:
                revoke_key(engine, row.id)
        for owner in missing:
            _, keys[owner] = create_key(engine, owner=owner, name=KEY_NAME, models=[])
        save_whole(path, json.dumps(keys).encode(), 0o600)
    return [keys[owner] for owner in owners]


def _is_valid(engine: Engine, key: str) -> bool:
    try:
        identify(engine, key)
    except NotAuthenticated:
        return False
    return True
