"""Judging a pull request: every prompt that it changes, head against base, by the suites that name it."""

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evals.compare import Comparison, compare, worst
from evals.git_refs import Repository
from evals.run import Conditions, Run, run_suite
from evals.subject import Subject
from evals.suite import Suite, load_suite
from sluice.errors import ConfigurationError
from sluice.git_blob import blob_hash
from sluice.promotion import Candidate, Verdict

SUITES = "evals/suites"
LIBRARY = "prompts/library"

Make = Callable[[str, bytes], Subject]
"""The subject of a prompt's name and its file's content."""
Started = Callable[[Suite, str], Conditions]
"""Asked before each run, with what is run: how it is to be carried out."""


@dataclass(frozen=True)
class Change:
    """One prompt that the pull request changes; `before` or `after` is None where it is new or removed."""

    name: str
    path: str
    before: bytes | None
    after: bytes | None
    author: str

    def candidate(self, content: bytes) -> Candidate:
        """The prompt's version with this content."""
        return Candidate("prompt", self.name, blob_hash(content))


@dataclass(frozen=True)
class Evaluated:
    """A change and what its suites say of it.

    Attributes:
        note: why there is no comparison, or what else a person should know.
    """

    change: Change
    comparisons: tuple[Comparison, ...]
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """A prompt that is removed harms no answer; one that nothing evaluates is not known to be harmless."""
        if self.change.after is None:
            return Verdict.PASS
        return worst(comparison.verdict for comparison in self.comparisons)


@dataclass(frozen=True)
class PullRequest:
    """The verdict on a pull request. Nothing evaluated, because no prompt changed, is a pass."""

    base: str
    head: str
    evaluated: tuple[Evaluated, ...]
    command: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst of its prompts' verdicts."""
        return worst(one.verdict for one in self.evaluated) if self.evaluated else Verdict.PASS

    def as_report(self) -> dict[str, Any]:
        """All of it as JSON."""
        prompts = [
            {
                "prompt": one.change.name,
                "path": one.change.path,
                "verdict": str(one.verdict),
                "note": one.note,
                "suites": [comparison.as_report() for comparison in one.comparisons],
            }
            for one in self.evaluated
        ]
        return {"verdict": str(self.verdict), "base": self.base, "head": self.head, "prompts": prompts}


def evaluate(
    repository: Repository,
    base: str,
    head: str,
    make: Make,
    started: Started,
    *,
    suite_path: str | None = None,
    command: str = "",
) -> PullRequest:
    """Run the suites of every prompt that differs between the commit where head left base, and head.

    Suites and cases are taken from head, the same for both sides; where head changes or removes some of them, or what
    was measured of a judge, the note names the files, here and in the gate's record.

    Args:
        suite_path: only this suite, relative to the repository; else all in `evals/suites`.

    Raises:
        NotFound: base or head is no ref.
        ConfigurationError: a suite is wrong.
        SluiceError: what `run_suite` raises.
    """
    head_commit = repository.commit(head)
    base_commit = repository.merge_base(repository.commit(base), head_commit)
    changed = repository.changed(base_commit, head_commit)
    suites = _suites(repository, head_commit, suite_path)
    evaluated: list[Evaluated] = []
    for name, path in sorted(_prompts(changed, suites, only_suites=suite_path is not None).items()):
        change = Change(
            name,
            path,
            repository.read(base_commit, path),
            repository.read(head_commit, path),
            repository.author(head_commit, path),
        )
        if change.before != change.after:
            theirs = [suite for suite in suites if suite.file.prompt == name]
            evaluated.append(_evaluate(change, theirs, changed, make, started))
    return PullRequest(base_commit, head_commit, tuple(evaluated), command)


def _suites(repository: Repository, commit: str, path: str | None) -> list[Suite]:
    def read(file: str) -> bytes | None:
        return repository.read(commit, file)

    if path is not None:
        if read(path) is None:
            raise ConfigurationError(f"There is no suite '{path}' at {commit[:12]}.", fix="Commit it first.")
        return [load_suite(path, read)]
    return [load_suite(file, read) for file in repository.files(commit, SUITES) if file.endswith(".yaml")]


def _prompts(changed: list[str], suites: list[Suite], *, only_suites: bool) -> dict[str, str]:
    """The changed prompts, by name: those in the library, and those whose file a suite names."""
    named = {str(suite.file.prompt): str(suite.prompt_path) for suite in suites if suite.file.prompt}
    found = {name: path for name, path in named.items() if path in changed}
    if not only_suites:
        for path in changed:
            folder, file = posixpath.split(path)
            if folder == LIBRARY and file.endswith(".yaml") and path not in named.values():
                found[file.removesuffix(".yaml")] = path
    return found


def _evaluate(change: Change, suites: list[Suite], changed: list[str], make: Make, started: Started) -> Evaluated:
    if change.after is None:
        return Evaluated(change, (), "the prompt is removed")
    judging = {path for suite in suites for path in suite.files}
    touched = [path for path in changed if path in judging or path.startswith(f"{SUITES}/")]
    note = f"this pull request also changes what it is judged by: {', '.join(touched)}" if touched else ""
    if not suites:
        return Evaluated(change, (), "; ".join(filter(None, ("no suite evaluates it", note))))
    comparisons: list[Comparison] = []
    for suite in suites:
        base = None if change.before is None else _run(suite, change, change.before, make, started)
        comparisons.append(compare(base, _run(suite, change, change.after, make, started), suite))
    return Evaluated(change, tuple(comparisons), note)


def _run(suite: Suite, change: Change, content: bytes, make: Make, started: Started) -> Run:
    subject_id = change.candidate(content).id
    conditions = started(suite, subject_id)  # first, so that a gateway that does not run is found before all else
    return run_suite(suite, make(change.name, content), subject_id=subject_id, conditions=conditions)
