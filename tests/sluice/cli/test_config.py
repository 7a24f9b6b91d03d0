import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from sluice.cli.config import config

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLUICE_CONFIG", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(config, arguments)


def test_right_settings_are_counted(folder: Path) -> None:
    (folder / "a.yaml").write_text("models:\n  m: {port: 1, source: {package: p}}\n")
    (folder / "b.yaml").write_text("guardrails: {policies: {p: {}, q: {}}}\n")
    told = run("check")
    assert told.exit_code == 0
    assert told.stdout == "2 files, 1 model, 0 routes, 0 services, 2 policies: nothing is wrong.\n"


def test_each_fault_has_a_line_and_the_code_is_2(folder: Path) -> None:
    (folder / "a.yaml").write_text("gateway: {prot: 1, port: x}\ncache: {store: disk}\n")
    told = run("check")
    assert told.exit_code == 2
    assert len(told.stdout.splitlines()) == 3
    as_json = run("check", "--json")
    assert as_json.exit_code == 2
    assert json.loads(as_json.stdout) == {"faults": told.stdout.splitlines(), "warnings": []}


def test_a_warning_fails_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROVIDER_KEY", raising=False)
    (folder / "a.yaml").write_text("routes: {r: {url: http://a/v1, api_key_env: PROVIDER_KEY}}\n")
    told = run("check")
    assert told.exit_code == 0
    assert told.stdout.startswith("Warning: routes.r.api_key_env: the variable PROVIDER_KEY is not set.")
    assert len(json.loads(run("check", "--json").stdout)["warnings"]) == 1


def test_the_shipped_settings_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_CONFIG", str(REPOSITORY / "configs"))
    assert run("check").stdout.endswith(": nothing is wrong.\n")


def test_what_is_shown_can_be_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.yaml").write_text("gateway: {port: 9000}\n")
    shown = yaml.safe_load(run("show").stdout)
    assert shown["gateway"]["port"] == 9000
    assert shown["gateway"]["workers"] == 1
    assert shown["rag"]
    (folder / "a.yaml").write_text(yaml.safe_dump(shown))
    assert run("check").exit_code == 0
    assert yaml.safe_load(run("show").stdout) == shown


def test_no_password_is_shown(folder: Path) -> None:
    (folder / "a.yaml").write_text(
        "redis: {url: 'redis://:S3cret@r/0'}\nplatform: {database: 'postgresql://ada:S3cret@db/x'}\n"
    )
    for arguments in (("show",), ("show", "--origin")):
        told = run(*arguments).stdout
        assert "S3cret" not in told
        assert "postgresql://ada:***@db/x" in told


def test_each_setting_tells_where_it_is_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.yaml").write_text("gateway:\n  port: 9000\nmodels:\n  My-M: {port: 1, source: {package: p}}\n")
    monkeypatch.setenv("SLUICE_GATEWAY__DRAIN_SECONDS", "2")
    monkeypatch.setenv("SLUICE_MODELS__MY_M__PORT", "5")
    monkeypatch.setenv("SLUICE_CACHE", "{seconds: 5}")
    lines = run("show", "--origin").stdout.splitlines()
    assert f"gateway.port: 9000  # {folder}/a.yaml, line 2" in lines
    assert "gateway.drain_seconds: 2.0  # Variable SLUICE_GATEWAY__DRAIN_SECONDS" in lines
    assert "models.My-M.port: 5  # Variable SLUICE_MODELS__MY_M__PORT" in lines
    assert "cache.seconds: 5.0  # Variable SLUICE_CACHE" in lines
    assert "gateway.host: 127.0.0.1  # default" in lines


def test_what_is_wrong_is_not_shown(folder: Path) -> None:
    (folder / "a.yaml").write_text("gateway: {prot: 1}\n")
    assert run("show").exit_code != 0
