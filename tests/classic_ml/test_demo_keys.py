"""The keys of the demo's people are made once."""

import stat
from pathlib import Path

from sqlalchemy import Engine

from classic_ml.demo_keys import KEY_NAME, keys_of
from sluice.identity import create_key, identify, list_keys, revoke_key

OWNERS = ("ml-engineer", "ml-lead")


def test_they_are_found_again_and_nobody_else_can_read_them(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "demo" / "keys.json"
    first = keys_of(engine, path, OWNERS)
    assert keys_of(engine, path, OWNERS) == first
    assert tuple(identify(engine, key).owner for key in first) == OWNERS
    assert not identify(engine, first[0]).may_use("smollm2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(list_keys(engine)) == 2


def test_a_revoked_one_is_replaced_and_a_lost_one_ends(engine: Engine, tmp_path: Path) -> None:
    lost, _ = create_key(engine, owner="ml-lead", name=KEY_NAME, models=[])  # killed before it wrote the file
    others, _ = create_key(engine, owner="ml-lead", name="another")
    engineer, lead = keys_of(engine, tmp_path / "keys.json", OWNERS)
    rows = {row.id: row for row in list_keys(engine)}
    assert rows[lost.id].revoked_at is not None
    assert rows[others.id].revoked_at is None
    revoke_key(engine, lead)
    again = keys_of(engine, tmp_path / "keys.json", OWNERS)
    assert again[0] == engineer
    assert again[1] != lead
