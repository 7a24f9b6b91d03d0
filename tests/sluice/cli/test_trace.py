import json
from pathlib import Path

import pytest
from sqlmodel import Session
from typer.testing import CliRunner

from sluice import audit, lineage
from sluice.cli.main import build
from sluice.database import connect, migrate
from sluice.errors import NotFound


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    monkeypatch.setenv("SLUICE_CONFIG", str(tmp_path / "configs"))
    monkeypatch.setenv("SLUICE_PLATFORM__HOME", str(tmp_path / "home"))
    url = f"sqlite:///{tmp_path / 'home' / 'sluice.db'}"
    migrate(url)
    with Session(connect(url)) as session:
        lineage.record(session, "answer:abcdef", {"question": "why [not]?"}, [("document", "document:d")])
        lineage.record(session, "document:d", {"path": "guide.md", "empty": ""})
        session.commit()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(build(), list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_tree_shows_ids_and_what_is_known_of_them() -> None:
    shown = run("trace", "abcdef")
    assert "answer:abcdef" in shown
    assert "question: why [not]?" in shown
    assert "document  document:d" in shown
    assert "empty" not in shown


def test_programs_get_json() -> None:
    found = json.loads(run("trace", "--json", "answer:abcdef"))
    assert found["id"] == "answer:abcdef"
    [source] = found["sources"]
    assert (source["role"], source["id"], source["attributes"]["path"]) == ("document", "document:d", "guide.md")


def test_an_unknown_id_is_one_sentence() -> None:
    with pytest.raises(NotFound, match="Nothing is known of 'nope'"):
        run("trace", "nope")


def test_the_audit_log_is_listed_and_verified() -> None:
    assert json.loads(run("audit", "list", "--json")) == []
    assert "0 entries is whole" in run("audit", "verify")


def test_an_entry_is_shown_as_it_was_written(tmp_path: Path) -> None:
    with Session(connect(f"sqlite:///{tmp_path / 'home' / 'sluice.db'}")) as session:
        audit.append(session, actor="ada", action="x.done", subject="model:m@1", detail={"note": "see [/tmp] [wip]"})
        session.commit()
    assert "note: see [/tmp] [wip]" in run("audit", "list")
