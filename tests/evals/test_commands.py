"""`sluice eval` as a process: exit codes, messages, files, and what a second run asks."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlmodel import Session, select
from typer.testing import CliRunner

from evals.commands import evals
from sluice.database import connect, migrate
from sluice.errors import SluiceError
from sluice.identity import create_key
from sluice.promotion import Candidate, GateResult, latest_gate
from tests.doubles.openai_answers import dump, plain_answer
from tests.doubles.scripted_upstream import Behaviour, RecordedRequest, ScriptedUpstream
from tests.evals.builders import write_suite
from tests.evals.repository import GOOD, PROMPT, as_lines, with_capital_suite

ROOT = Path(__file__).parents[2]
VERSION = "3" * 40
KEY = "sk-sluice-test"
PLUGIN = '''
from evals.subject import stored_prompt
from sluice.git_blob import blob_hash
from sluice.gateway_client import GatewayClient, gateway_access

def make_subject(settings, engine, name, content):
    """Without a registry: the version's content stands in its id, where the scripted gateway reads it."""
    return stored_prompt(GatewayClient(*gateway_access(settings)), name, content.decode())
'''


class Gateway(ScriptedUpstream):
    """Names the right city, alone if the prompt's version says so; as judge it passes every answer."""

    def behaviour_for(self, request: RecordedRequest) -> Behaviour:
        if request.path != "/v1/chat/completions":
            return super().behaviour_for(request)
        asked = request.json
        if "messages" in asked:
            content = json.dumps({"reason": "Fine.", "verdict": "pass"})
        else:
            city = asked["prompt"]["variables"]["country"].replace("country", "City")
            version = asked["prompt"]["version"]
            content = city if "name only" in version or version == VERSION else f"It is {city}."
        return Behaviour(body=dump(plain_answer(request.path, asked, [content])))

    def answered(self) -> int:
        return sum(request.path == "/v1/chat/completions" for request in self.requests)


@dataclass(frozen=True)
class Sluice:
    """The command with settings of its own, and a plugin that makes subjects of prompts."""

    folder: Path
    port: int

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "OPENAI_"))},
            "SLUICE_CONFIG": str(self.folder / "configs"),
            "SLUICE_PLATFORM__HOME": str(self.folder / "home"),
            "SLUICE_GATEWAY__PORT": str(self.port),
            "OPENAI_API_KEY": KEY,
            "PYTHONPATH": os.pathsep.join([str(self.folder / "plugin"), str(ROOT), str(ROOT / "platform")]),
            **environment,
        }
        command = [sys.executable, "-m", "sluice", "eval", *arguments]
        return subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as upstream:
        yield upstream


@pytest.fixture
def sluice(tmp_path: Path, gateway: Gateway) -> Sluice:
    information = tmp_path / "plugin" / "plugin-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[sluice.subjects]\nprompt = scripted_subjects:make_subject\n")
    (tmp_path / "plugin" / "scripted_subjects.py").write_text(PLUGIN)
    (tmp_path / "configs").mkdir()
    return Sluice(tmp_path, gateway.port)


def edited(sluice: Sluice, content: str) -> str:
    made = with_capital_suite(sluice.folder / "repository", 80)
    made.git("checkout", "--quiet", "-b", "edit")
    made.write(PROMPT, content)
    made.commit()
    return str(made.folder)


def test_a_harmful_edit_fails_with_its_reports_and_a_second_run_asks_nothing(sluice: Sluice, gateway: Gateway):
    folder = edited(sluice, GOOD.replace(" The city's name only.", ""))
    options = ["pr", "--repository", folder, "--base", "main", "--head", "edit", "--json"]
    files = ["--junit", "junit.xml", "--comment", "comment.md"]
    done = sluice(*options, *files)
    assert done.returncode == 1, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["verdict"] == "fail"
    assert report["prompts"][0]["suites"][0]["metrics"][0]["estimate"] == -1
    assert "❌ fail" in (sluice.folder / "comment.md").read_text()
    assert ElementTree.parse(sluice.folder / "junit.xml").find("testsuite/testcase/failure") is not None
    assert gateway.answered() == 160
    again = sluice(*options)
    assert again.stdout == done.stdout
    assert gateway.answered() == 160
    with Session(connect(f"sqlite:///{sluice.folder / 'home' / 'sluice.db'}")) as session:
        (gate,) = session.exec(select(GateResult))
    assert (gate.verdict, gate.author) == ("fail", "ada@example.org")


def test_a_harmless_edit_passes(sluice: Sluice):
    done = sluice("pr", "--repository", edited(sluice, GOOD.replace("Name", "Please name")), "--head", "edit")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("Verdict: pass")


def test_no_change_passes_though_nothing_runs(sluice: Sluice, gateway: Gateway):
    folder = edited(sluice, GOOD)
    gateway.stop_listening()
    done = sluice("pr", "--repository", folder, "--head", "edit")
    assert done.returncode == 0, done.stderr
    assert "nothing was run" in done.stdout


def test_a_gateway_that_does_not_run_is_no_verdict(sluice: Sluice, gateway: Gateway):
    folder = edited(sluice, GOOD.replace("Name", "Please name"))
    gateway.stop_listening()
    done = sluice("pr", "--repository", folder, "--head", "edit")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("Error: The gateway at http://127.0.0.1:")
    assert done.stderr.strip().endswith("Run: sluice up")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pr", "--repository", "nowhere"], "There is no folder 'nowhere'."),
        (["pr", "--repository", "repository", "--head", "nowhere"], "There is no ref 'nowhere'"),
        (["pr", "--repository", "repository", "--suite", "nowhere.yaml"], "There is no suite 'nowhere.yaml' at"),
        (["run", "nowhere.yaml"], "There is no suite 'nowhere.yaml'."),
        (["run", "suite.yaml"], "The suite names neither prompt nor ask."),
        (["run", "suite.yaml", "--prompt", "nowhere.yaml"], "There is no prompt file 'nowhere.yaml'."),
        (
            ["run", "suite.yaml", "--prompt", "capital@production", "--record"],
            "A verdict is kept about one version only.",
        ),
        (["pr", "--repository", "repository", "--junit", "nowhere/x.xml"], "There is no folder 'nowhere' for x.xml."),
        (["calibrate", "suite.yaml"], "suite.yaml: no metric has both a judge and 'labels'."),
    ],
)
def test_a_mistake_is_named_and_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway: Gateway, arguments: list[str], message: str
):
    with_capital_suite(tmp_path / "repository")
    write_suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("SLUICE_GATEWAY__PORT", str(gateway.port))
    raised = CliRunner().invoke(evals, arguments).exception
    assert isinstance(raised, SluiceError)
    assert message in str(raised)
    assert raised.exit_code == 2


@pytest.mark.parametrize(("minimum", "code"), [(0.9, 0), (0.99, 3)])
def test_a_registered_version_is_held_against_the_minimum(sluice: Sluice, gateway: Gateway, minimum: float, code: int):
    metric = {"metric": "exact_match", "minimum": minimum}
    write_suite(sluice.folder, 80, prompt="capital", metrics=[metric])
    url = f"sqlite:///{sluice.folder / 'home' / 'sluice.db'}"
    migrate(url)
    _, key = create_key(connect(url), owner="ada")
    done = sluice("run", "suite.yaml", "--prompt", f"capital@{VERSION}", "--record", OPENAI_API_KEY=key)
    assert done.returncode == code, done.stderr
    assert gateway.answered() == 80
    with Session(connect(url)) as session:
        gate = latest_gate(session, Candidate("prompt", "capital", VERSION))
    assert gate is not None
    assert (gate.verdict, gate.author) == ("inconclusive" if code else "pass", "ada")
    assert gate.incumbent is None


def test_a_judge_that_passes_everything_may_not_gate(sluice: Sluice):
    judge = {"metric": "judge", "model": "judge", "rubric": "It is right.", "labels": "labels.jsonl"}
    write_suite(sluice.folder, 80, metrics=[judge])
    labels = ["pass", "fail"] * 20
    rows = [{"id": str(n), "variables": {}, "answer": "x", "label": label} for n, label in enumerate(labels)]
    (sluice.folder / "labels.jsonl").write_text(as_lines(rows))
    done = sluice("calibrate", "suite.yaml")
    assert done.returncode == 1, done.stderr
    assert "judge: kappa 0.00" in done.stdout
    assert "may not gate (least: 0.40)" in done.stdout
    shown = sluice("run", "suite.yaml", "--prompt", f"capital@{VERSION}")
    assert shown.returncode == 3
    assert "may not gate: the judge's agreement with people is 0.00" in shown.stdout
