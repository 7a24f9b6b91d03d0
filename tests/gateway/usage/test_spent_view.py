import json

import msgspec
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from gateway.commands import app
from gateway.usage.record import UsageRecord, insert
from gateway.usage.spent_view import budget_states
from sluice.identity import create_key, set_budget
from sluice.identity.money import NANO

NOW = 1_795_953_600.0  # noon, 29 November 2026
RECORD = UsageRecord("", "", "m", "chat", 200, None, True, 10, 4, 5, NOW - 60, 20.0, 4.0, 15, cost=NANO // 4)


def test_what_is_gone_of_each_budget_in_its_window(engine: Engine) -> None:
    key, _ = create_key(engine, owner="ada", budgets={"day": 40})
    set_budget(engine, "model:m", NANO, "ever", "money", hard=False, by="ada")
    insert(
        engine,
        [
            msgspec.structs.replace(RECORD, request_id="1", key_id=key.id),
            msgspec.structs.replace(RECORD, request_id="2", key_id=key.id, started_at=NOW - 86_400),
        ],
    )
    of_key, of_model = (state.as_plain() for state in budget_states(engine, None, NOW))
    assert (of_key["spent"], of_key["left"], of_key["ends"]) == (15, 25, "2026-11-30T00:00:00Z")
    assert (of_model["spent"], of_model["left"], of_model["ends"]) == ("0.50", "0.50", None)
    assert [state.budget.scope for state in budget_states(engine, "model:m", NOW)] == ["model:m"]


def test_the_command_shows_them(
    engine: Engine, database_url: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_CONFIG", str(tmp_path))
    monkeypatch.setenv("SLUICE_PLATFORM__DATABASE", database_url)
    assert "There are none." in CliRunner().invoke(app, ["spent"], catch_exceptions=False).stdout
    set_budget(engine, "team:a-team-with-a-rather-long-name-for-a-narrow-table", 40, "ever", by="ada")
    printed = CliRunner().invoke(app, ["spent"], catch_exceptions=False).stdout
    assert "team:a-team-with-a-rather-long-name-for-a-narrow-table/tokens/ever  40 tokens in all  hard" in printed
    [plain] = json.loads(CliRunner().invoke(app, ["spent", "--json"], catch_exceptions=False).stdout)
    assert (plain["unit"], plain["spent"], plain["left"]) == ("tokens", 0, 40)
