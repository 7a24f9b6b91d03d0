"""A real Git repository with a prompt, a suite that names it, and commits."""

import json
import subprocess
from pathlib import Path
from typing import Any

PROMPT = "prompts/library/capital.yaml"
SUITE = "evals/suites/capital.yaml"
GOOD = "messages:\n  - role: user\n    content: Name the capital of {{ country }}. The city's name only.\n"


class Repository:
    """Made in a folder; `commit` returns the new commit's hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(self.folder), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, path: str, content: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")

    def remove(self, path: str) -> None:
        (self.folder / path).unlink()

    def commit(self, message: str = "A change") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def capital_cases(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"c{number:03}", "variables": {"country": f"country {number}"}, "expected": f"City {number}"}
        for number in range(count)
    ]


def as_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def with_capital_suite(folder: Path, cases: int = 20, suite: str = "") -> Repository:
    """A repository whose first commit holds the prompt `capital` and its suite of exact match."""
    made = Repository(folder)
    made.write(PROMPT, GOOD)
    made.write(SUITE, suite or capital_suite())
    made.write("evals/suites/capital.jsonl", as_lines(capital_cases(cases)))
    made.commit("The prompt and its suite")
    return made


def capital_suite(margin: float = 0.05) -> str:
    return (
        "name: capital\nprompt: capital\ncases: capital.jsonl\nmodel: scripted\n"
        f"metrics:\n  - metric: exact_match\n    margin: {margin}\n"
    )
