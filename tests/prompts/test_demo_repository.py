"""The repository of `sluice demo prompt`."""

from pathlib import Path

import pytest

from evals.git_refs import Repository
from evals.suite import load_suite
from prompts.demo_repository import BASE, BEFORE, CASES, HARMFUL, HARMLESS, NAME, PROMPT, SUITE, make_repository
from prompts.prompt import parse_prompt
from tests.prompts.git import commit, git


def test_everybody_gets_the_same_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_repository(tmp_path / "a")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody else")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    make_repository(tmp_path / "b")
    monkeypatch.delenv("GIT_DIR")
    for ref in (BEFORE, BASE, HARMFUL, HARMLESS):
        assert git(tmp_path / "a", "rev-parse", ref) == git(tmp_path / "b", "rev-parse", ref)
    assert not list(tmp_path.glob(".*"))


def test_what_a_person_did_with_it_stays(tmp_path: Path) -> None:
    make_repository(tmp_path / "a")
    (tmp_path / "a" / "mine.txt").write_text("mine")
    own = commit(tmp_path / "a", "My own")
    make_repository(tmp_path / "a")
    assert git(tmp_path / "a", "rev-parse", "HEAD") == own


def test_each_branch_holds_a_prompt_that_the_suite_can_evaluate(tmp_path: Path) -> None:
    make_repository(tmp_path / "a")
    repository = Repository(tmp_path / "a")
    assert repository.read(BEFORE, str(PROMPT)) is None
    contents = [repository.read(ref, str(PROMPT)) for ref in (BASE, HARMFUL, HARMLESS)]
    assert len(set(contents)) == 3
    suite = load_suite(str(SUITE), lambda path: repository.read(BEFORE, path))
    assert suite.prompt_path == str(PROMPT)
    assert len(suite.cases) == 24
    assert repository.read(BEFORE, str(CASES))
    for content in contents:
        assert content is not None
        prompt = parse_prompt(NAME, content)
        assert all(prompt.render(case.variables) for case in suite.cases)
