"""`sluice demo prompt`: two edits of a prompt before the gate, one that harms and one that does not."""

import shlex
import subprocess
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import typer
from rich.markdown import Markdown
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from evals.commands import pr
from evals.git_refs import Repository
from prompts.commands import label
from prompts.commit import commit_of
from prompts.demo_repository import BASE, BEFORE, HARMFUL, HARMLESS, NAME, PROMPT, make_repository
from prompts.prompt import Prompt
from prompts.registry import register
from sluice.demo import Outcome, Stage
from sluice.errors import GateRefused, ProcessFailed
from sluice.promotion import labelled

LABEL = "production"
VERDICTS = {0: "pass", 1: "fail", 3: "inconclusive"}
"""By the exit code of `sluice eval pr`."""
FOLLOWED_SECONDS = 1.1
"""After this long every gateway process has followed a label."""


def prompt(stage: Stage) -> Outcome:
    """A prompt goes into use, a harmful edit of it is held back, and a harmless one takes its place."""
    repository = stage.folder / "prompt"
    with stage.step(f"A Git repository with a prompt and two edits of it, in {repository}"):
        make_repository(repository)
        versions = {ref: _register(stage, repository, ref) for ref in (BASE, HARMFUL, HARMLESS)}
    if labelled(stage.engine, "prompt", NAME, LABEL) is None:
        stage.show(Text(f"\nThe first version, on branch {BASE}, has to reach the suite's minimum.", "bold"))
        _judge(stage, repository, BEFORE, BASE)
        _label(stage, versions[BASE])
    verdicts: dict[str, str] = {}
    for branch in (HARMFUL, HARMLESS):
        stage.show(Text(f"\nThe edit on branch {branch}:", "bold"))
        stage.show(_edit(repository, branch))
        verdicts[branch] = _judge(stage, repository, BASE, branch)
        _label(stage, versions[branch])
    time.sleep(FOLLOWED_SECONDS)
    request_id = _ask(stage, "Japan")
    ends = ", ".join(f"'{branch}' {verdict}" for branch, verdict in verdicts.items())
    now = labelled(stage.engine, "prompt", NAME, LABEL)
    return Outcome(
        f"Two edits were judged: {ends}. '{LABEL}' is on {now.version[:12] if now else 'no version'}.",
        (f"sluice prompts history {NAME}", f"git -C {shlex.quote(str(repository))} log --all --graph --stat"),
        f"request:{request_id}",
    )


def _register(stage: Stage, repository: Path, ref: str) -> Prompt:
    content = Repository(repository).read(ref, str(PROMPT))
    if content is None:
        raise ProcessFailed(f"There is no {PROMPT} on branch '{ref}' of {repository}.", fix="Remove that folder.")
    commit = commit_of(repository / PROMPT, content, ref)
    return register(stage.engine, NAME, content, author=commit.author if commit else "demo", commit=commit)


def _edit(repository: Path, branch: str) -> Padding:
    command = ["git", "-C", str(repository), "diff", "--unified=0", BASE, branch, "--", str(PROMPT)]
    diff = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    lines = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return Padding(Syntax("\n".join(lines), "diff", background_color="default", word_wrap=True), (0, 2))


def _judge(stage: Stage, repository: Path, base: str, head: str) -> str:
    """Run `sluice eval pr`, show all that it leaves, and return its verdict."""
    reports = stage.folder / "prompt-reports"
    reports.mkdir(parents=True, exist_ok=True)
    comment, junit = reports / f"{head}.md", reports / f"{head}.xml"
    code = _run(
        stage,
        f"sluice eval pr --repository {repository} --base {base} --head {head} --junit {junit} --comment {comment}",
        partial(pr, repository, base, head, suite=None, junit=junit, comment=comment, as_json=False, fresh=False),
    )
    stage.show(Text("The comment for the pull request:", "dim"))
    stage.show(Padding(Markdown(comment.read_text()), (0, 2)))
    cases = ElementTree.parse(junit).getroot()  # noqa: S314, our own file
    failures = sum(1 for _ in cases.iter("failure"))
    stage.show(Text(f"The JUnit file for CI: {sum(1 for _ in cases.iter('testcase'))} tests, {failures} failed", "dim"))
    return VERDICTS.get(code, "no verdict")


def _label(stage: Stage, version: Prompt) -> None:
    short = version.version[:12]
    _run(stage, f"sluice prompts label {NAME} {short} {LABEL}", partial(label, NAME, short, LABEL))


def _run(stage: Stage, shown: str, command: Callable[[], None]) -> int:
    """Run a command of Sluice, and show it with what it prints and its exit code.

    Raises:
        SluiceError: what the command raises, but for a gate's refusal, which is an answer.
    """
    stage.show(Text(f"\n$ {shown}", "bold cyan"))
    code = 0
    try:
        with redirect_stdout(stage.console.file):
            command()
    except typer.Exit as end:
        code = end.exit_code
    except GateRefused as error:
        stage.show(Text(f"Error: {error}"))
        code = error.exit_code
    stage.show(Text(f"exit code {code}", "yellow" if code else "green"))
    return code


def _ask(stage: Stage, country: str) -> str:
    """Ask through the gateway by the label, and return the request's id."""
    body = {"prompt": {"id": NAME, "version": LABEL, "variables": {"country": country}}}
    with stage.step("The gateway answers by the label"), stage.gateway() as gateway:
        answer, request_id = gateway.post("/chat/completions", body)
    stage.show(Text(f"  {country}: {answer['choices'][0]['message']['content']}"))
    return request_id
