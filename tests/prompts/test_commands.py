"""The commands as a person meets them."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from prompts.commands import prompts
from prompts.prompt import Prompt
from prompts.registry import register
from sluice import audit
from sluice.errors import GateRefused, InvalidRequest, NotAuthenticated, NotFound
from sluice.promotion import GateResult, Verdict, labelled, record_gate

pytestmark = pytest.mark.usefixtures("settings")


def sluice(*arguments: str) -> str:
    """What a command prints; its error is raised."""
    result = CliRunner().invoke(prompts, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(kind: type[Exception], *arguments: str) -> Any:
    with pytest.raises(kind) as raised:
        CliRunner().invoke(prompts, arguments, catch_exceptions=False, standalone_mode=False)
    return raised.value


def judged(engine: Engine, prompt: Prompt, verdict: Verdict, incumbent: str | None) -> GateResult:
    result = GateResult(
        kind="prompt", name="one", version=prompt.version, incumbent=incumbent, suite="s", verdict=verdict,
        data_hash="h", author="bob", report={"note": "a suite was removed"},
    )  # fmt: skip
    return record_gate(engine, result)


@pytest.fixture
def versions(engine: Engine, content: bytes) -> tuple[Prompt, Prompt]:
    old, new = (register(engine, "one", content.replace(b"hello", text), author="bob") for text in (b"old", b"new"))
    return old, new


def test_a_label_moves_with_a_passing_gate_only(engine: Engine, versions: tuple[Prompt, Prompt]) -> None:
    old, new = versions
    error = refused(GateRefused, "label", "one", old.version, "production")
    assert str(error).startswith("No gate has judged prompt 'one' version")
    assert error.exit_code == 1
    judged(engine, old, Verdict.PASS, None)
    assert old.version in sluice("label", "one", old.version[:7], "production")
    judged(engine, new, Verdict.FAIL, old.version)
    assert "verdict on prompt 'one'" in str(refused(GateRefused, "label", "one", new.version, "production"))
    judged(engine, new, Verdict.INCONCLUSIVE, old.version)
    assert "'inconclusive'" in str(refused(GateRefused, "label", "one", new.version, "production"))
    judged(engine, new, Verdict.PASS, None)
    assert "but in use is" in str(refused(GateRefused, "label", "one", new.version, "production"))
    label = labelled(engine, "prompt", "one", "production")
    assert label is not None
    assert label.version == old.version
    judged(engine, new, Verdict.PASS, old.version)
    first = sluice("label", "one", new.version, "production")
    assert sluice("label", "one", new.version, "production") == first  # a second time changes nothing
    moves = [entry for entry in audit.entries(engine) if entry.action == "label.moved"]
    assert [entry.actor for entry in moves] == ["ada", "ada"]


def test_an_unguarded_label_moves_freely(engine: Engine, versions: tuple[Prompt, Prompt]) -> None:
    sluice("label", "one", versions[0].version, "next")
    sluice("label", "one", versions[1].version, "next")
    assert "new" in sluice("show", "one", "next")


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (NotFound, ("label", "two", "a" * 40, "next"), "There is no prompt 'two'."),
        (NotFound, ("label", "one", "a" * 40, "next"), "Prompt 'one' has no version or label"),
        (InvalidRequest, ("label", "one", "a" * 40, "deadbeef"), "'deadbeef' cannot be a label."),
        (NotFound, ("show", "one"), "Prompt 'one' has no version or label 'production'."),
        (NotFound, ("show", "two"), "There is no prompt 'two'."),
        (NotFound, ("history", "two"), "There is no prompt 'two'."),
    ],
)
def test_what_is_not_there(
    versions: tuple[Prompt, Prompt], kind: type[Exception], arguments: tuple[str, ...], message: str
) -> None:
    assert str(refused(kind, *arguments)).startswith(message)


def test_a_label_needs_a_valid_key(versions: tuple[Prompt, Prompt], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sluice-" + "a" * 12 + "-" + "b" * 40)
    refused(NotAuthenticated, "label", "one", versions[0].version, "next")


def test_a_folder_is_registered_and_listed(tmp_path: Path, content: bytes) -> None:
    assert "There are no prompts yet" in sluice("list")
    assert json.loads(sluice("list", "--json")) == []
    (tmp_path / "one.yaml").write_bytes(content)
    assert "not committed" in sluice("sync", str(tmp_path))
    [row] = json.loads(sluice("list", "--json"))
    assert (row["name"], row["versions"], row["labels"]) == ("one", 1, "")
    assert "one" in sluice("list")


def test_a_version_is_shown_as_it_stands_in_its_file(versions: tuple[Prompt, Prompt]) -> None:
    shown = sluice("show", "one", versions[0].version[:8])
    assert shown == "description: d\nmessages:\n  - role: user\n    content: old\n"
    as_json = json.loads(sluice("show", "one", versions[0].version, "--json"))
    assert (as_json["content"], as_json["author"]) == (shown, "bob")


def test_history_tells_versions_verdicts_and_moves_in_order(engine: Engine, versions: tuple[Prompt, Prompt]) -> None:
    old, new = versions
    judged(engine, old, Verdict.PASS, None)
    sluice("label", "one", old.version, "production")
    judged(engine, new, Verdict.FAIL, old.version)
    told = [
        (row["what"], row["version"], row["by"], row["detail"])
        for row in json.loads(sluice("history", "one", "--json"))
    ]
    assert [(what, version, by) for what, version, by, _ in told] == [
        ("registered", old.version[:12], "bob"),
        ("registered", new.version[:12], "bob"),
        ("judged", old.version[:12], "bob"),
        ("labelled", old.version[:12], "ada"),
        ("judged", new.version[:12], "bob"),
    ]
    assert told[2][3].startswith("pass on suite 's' on its own")
    assert told[2][3].endswith("; a suite was removed")
    assert told[3][3] == "'production' moved here from nowhere"
    assert told[4][3].startswith(f"fail on suite 's' against {old.version[:12]}")
    assert "labelled" in sluice("history", "one")
