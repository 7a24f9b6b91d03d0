"""The seven journeys on the running platform, in a newcomer's order, each played twice."""

import json
import sqlite3
from typing import Any

import pytest

from sluice.cli.demo import ORDER
from tests.end_to_end.running_platform import RunningPlatform

pytestmark = pytest.mark.engine

MADE_ONCE = ("prompt_version", "gate_result", "approval", "label", "promotion", "online_feature", "alert")
"""Tables whose rows stand for what was made, not for what happened: a second run adds none."""


def play(platform: RunningPlatform, name: str) -> dict[str, Any]:
    [outcome] = json.loads(platform.sluice("demo", name, "--json", timeout=1_800).stdout)
    return outcome


def made(platform: RunningPlatform) -> dict[str, int]:
    with sqlite3.connect(platform.home / "sluice.db") as database:
        return {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in MADE_ONCE}


@pytest.mark.parametrize("name", ORDER)
def test_a_journey_ends_with_a_result_and_can_be_repeated_at_once(platform: RunningPlatform, name: str) -> None:
    first = play(platform, name)
    assert first["summary"]
    before = made(platform)
    play(platform, name)
    assert made(platform) == before
    if first["trace_id"]:
        assert json.loads(platform.sluice("trace", "--json", first["trace_id"]).stdout)["sources"]


def test_the_audit_log_is_whole_after_all_of_them(platform: RunningPlatform) -> None:
    assert "is whole" in platform.sluice("audit", "verify").stdout
