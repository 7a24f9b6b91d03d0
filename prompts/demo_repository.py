"""The Git repository that `sluice demo prompt` plays in: a prompt, its suite, and two edits on branches of their own."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from sluice.errors import MissingRequirement, ProcessFailed

NAME = "demo-capital"
PROMPT = Path("prompts/library") / f"{NAME}.yaml"
SUITE = Path("evals/suites") / f"{NAME}.yaml"
CASES = SUITE.with_suffix(".jsonl")

BASE = "main"
BEFORE = "main~1"
"""The commit before the prompt: suite and cases are there already."""
HARMFUL = "livelier"
HARMLESS = "shorter"

_PROMPT = """\
description: Names a country's capital in one sentence.
model: smollm2
parameters:
  temperature: 0
  max_tokens: 12
variables:
  country: the country's English name
messages:
  - role: system
    content: You answer questions about geography in one short sentence.
  - role: user
    content: What is the capital of {{ country }}?
"""
_EDITS = {
    HARMFUL: {
        "You answer questions about geography in one short sentence.": "You are an enthusiastic travel guide.",
        "What is the capital of {{ country }}?": "Tell me something exciting about the capital of {{ country }}!",
    },
    HARMLESS: {"You answer questions": "Answer questions"},
}
_SUITE = f"""\
name: {NAME}
prompt: {NAME}
cases: {CASES.name}
metrics:
  - metric: exact_match
    # 24 cases can show that no more than a quarter of the answers got worse, not more.
    margin: 0.25
    # What a first version must reach, which has nothing to be compared with.
    minimum: 0.7
"""
_CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Japan": "Tokyo", "Egypt": "Cairo", "Greece": "Athens",
    "Russia": "Moscow", "China": "Beijing", "Peru": "Lima", "Sweden": "Stockholm", "Kenya": "Nairobi",
    "Ireland": "Dublin", "Hungary": "Budapest", "Thailand": "Bangkok", "India": "New Delhi", "Iraq": "Baghdad",
    "Chile": "Santiago", "Argentina": "Buenos Aires", "Vietnam": "Hanoi", "Norway": "Oslo", "Spain": "Madrid",
    "Syria": "Damascus", "Bulgaria": "Sofia", "Romania": "Bucharest",
}  # fmt: skip

_DAY = "2026-01-01T{hour:02}:00:00Z"
_AUTHOR = {"NAME": "Demo", "EMAIL": "demo@sluice.invalid"}
_ENVIRONMENT = {
    # Nobody's own settings, so that everybody gets the same commits.
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _AUTHOR.items()},
}


def make_repository(folder: Path) -> None:
    """Make the repository where it is not there yet, with the same commits everywhere.

    Raises:
        MissingRequirement: Git is not installed.
        ProcessFailed: Git failed.
    """
    if folder.exists():
        return
    aside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    _git(aside, "init", "--quiet", f"--initial-branch={BASE}")
    _commit(aside, "A suite for prompts that name capitals", {SUITE: _SUITE, CASES: _cases()}, hour=1)
    _commit(aside, "A prompt that names a capital", {PROMPT: _PROMPT}, hour=2)
    for hour, (branch, edits) in enumerate(_EDITS.items(), 3):
        _git(aside, "checkout", "--quiet", "-b", branch, BASE)
        _commit(aside, f"Make it {branch}", {PROMPT: _edited(edits)}, hour=hour)
    _git(aside, "checkout", "--quiet", BASE)
    aside.rename(folder)


def _cases() -> str:
    return "".join(
        json.dumps(
            {"id": country, "variables": {"country": country}, "expected": f"The capital of {country} is {city}."}
        )
        + "\n"
        for country, city in _CAPITALS.items()
    )


def _edited(edits: dict[str, str]) -> str:
    text = _PROMPT
    for old, new in edits.items():
        text = text.replace(old, new)
    return text


def _commit(folder: Path, message: str, files: dict[Path, str], *, hour: int) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, "utf-8")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "-m", message, hour=hour)


def _git(folder: Path, *arguments: str, hour: int = 0) -> None:
    at = _DAY.format(hour=hour)
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = {**own, **_ENVIRONMENT, "GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
    try:
        subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        raise MissingRequirement("Git is not installed.", fix="Install git.") from None
    except subprocess.CalledProcessError as error:
        raise ProcessFailed(f"git {arguments[0]} failed: {error.stderr.strip()}") from None
