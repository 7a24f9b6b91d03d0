"""Which commit a file's content comes from."""

from pathlib import Path

import pytest

from prompts.commit import Commit, commit_of
from sluice.git_blob import as_in_git
from tests.prompts.git import commit, git


def test_the_commit_that_changed_the_file_last(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_bytes(b"one\r\n")
    first = commit(tmp_path, "Add one: it's ünusual")
    (tmp_path / "two.yaml").write_text("two")
    commit(tmp_path, "Add two")
    assert commit_of(file, b"one\r\n") == Commit(first, "ada@example.org", "Add one: it's ünusual")


def test_a_file_that_differs_from_what_is_committed_has_none(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("one")
    commit(tmp_path, "Add one")
    file.write_text("changed")
    assert commit_of(file, b"changed") is None


def test_a_file_that_was_never_committed_has_none(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("one")
    commit(tmp_path, "Add one")
    (tmp_path / "two.yaml").write_text("one")
    assert commit_of(tmp_path / "two.yaml", b"one") is None


def test_a_file_on_another_branch(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("one")
    commit(tmp_path, "Add one")
    git(tmp_path, "checkout", "--quiet", "-b", "other")
    file.write_text("other")
    other = commit(tmp_path, "Another one")
    git(tmp_path, "checkout", "--quiet", "main")
    assert commit_of(file, b"other") is None
    found = commit_of(file, b"other", "other")
    assert found is not None
    assert found.hash == other


def test_no_repository_and_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("one")
    assert commit_of(file, b"one") is None
    commit(tmp_path, "Add one")
    assert commit_of(file, b"one") is not None
    monkeypatch.setenv("PATH", "")
    assert commit_of(file, b"one") is None


def test_a_checkout_with_line_endings_of_its_own_is_what_git_has(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "config", "core.autocrlf", "true")
    file = tmp_path / "one.yaml"
    file.write_bytes(b"one\r\ntwo\r\n")
    hash_ = commit(tmp_path, "Add one")
    content = as_in_git(file, file.read_bytes())
    assert content == b"one\ntwo\n"
    assert commit_of(file, content) == Commit(hash_, "ada@example.org", "Add one")
    assert as_in_git(file, b"changed\r\n") == b"changed\r\n"
    assert as_in_git(tmp_path / "new.yaml", b"new\r\n") == b"new\r\n"


def test_a_repository_that_hashes_with_sha256(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main", "--object-format=sha256")
    file = tmp_path / "one.yaml"
    file.write_text("one")
    hash_ = commit(tmp_path, "Add one")
    assert as_in_git(file, b"one") == b"one"
    assert commit_of(file, b"one") == Commit(hash_, "ada@example.org", "Add one")
