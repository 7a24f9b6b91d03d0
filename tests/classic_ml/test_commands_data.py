import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from classic_ml.commands import ml
from classic_ml.exclusive import exclusive
from sluice.errors import Conflict, NotFound
from sluice.home import Home
from tests.classic_ml.conftest import customer

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that name an empty home."""
    (tmp_path / "configs").mkdir()
    monkeypatch.setenv("SLUICE_CONFIG", str(tmp_path / "configs"))
    monkeypatch.setenv("SLUICE_PLATFORM__HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str) -> str:
    return CliRunner().invoke(ml, arguments, catch_exceptions=False).stdout


def test_the_journey_from_a_file_to_a_training_set(write: Write) -> None:
    path = str(write("a.csv", [*(customer(number) for number in range(9)), customer(9, tenure="x")]))
    said = run("ingest", path, "--as-of", "2026-01-31")
    assert "9 of 10 rows of a.csv loaded, as of 2026-01-31." in said
    assert "tenure is not a whole number" in said
    assert "already there" in run("ingest", path, "--as-of", "2026-01-31")
    assert [(row["layer"], row["rows"]) for row in json.loads(run("tables", "--json"))] == [
        ("bronze", 10),
        ("quarantine", 1),
        ("silver", 9),
        ("gold", 9),
    ]
    assert json.loads(run("tables", "gold.churn", "--json"))["tenure"] == "Int64"
    assert "tenure" in run("tables", "bronze.churn")
    with pytest.raises(NotFound, match=r"no table gold\.weather\. See: sluice ml tables"):
        run("tables", "gold.weather")
    assert "0009-TESTS" in run("quarantine")
    found = json.loads(run("features", "0003-TESTS", "--json"))
    assert (found["features"]["tenure"], found["source"]) == (10, "table:gold.churn@1")
    made = json.loads(run("training-set", "--json"))
    assert made["rows"] == 9
    assert made["id"] in run("training-set")


def test_json_says_what_was_loaded(write: Write) -> None:
    path = str(write("a.csv", [customer(1), customer(1)]))
    loaded = json.loads(run("ingest", path, "--as-of", "2026-01-31", "--json"))
    assert (loaded["rows"], loaded["accepted"], loaded["quarantined"], loaded["online"]) == (2, 1, 1, 1)
    assert loaded["reasons"] == {"repeats the key of another row of the file": 1}
    assert json.loads(run("ingest", path, "--as-of", "2026-01-31", "--json"))["already_there"] is True


def test_before_anything_is_loaded() -> None:
    assert "no tables yet" in run("tables")
    assert "Nothing is in quarantine" in run("quarantine")
    with pytest.raises(NotFound, match="0001-TESTS"):
        run("features", "0001-TESTS")
    with pytest.raises(NotFound, match="sluice ml ingest"):
        run("training-set")


def test_the_commands_load_nothing_heavy() -> None:
    code = (
        "import sys, classic_ml.commands; print(*[m for m in ('polars', 'deltalake', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_two_loads_come_one_after_the_other(write: Write, tmp_path: Path) -> None:
    path = str(write("a.csv", [customer(1)]))
    with (
        exclusive(Home(tmp_path / "home"), "ingest"),
        pytest.raises(Conflict, match=r"Another process holds 'ingest' .* Wait until it has ended"),
    ):
        run("ingest", path)
    assert "1 of 1 rows" in run("ingest", path)
