"""Reading a real Git repository."""

from pathlib import Path

import pytest

from evals.git_refs import Repository
from sluice.errors import InvalidRequest, NotFound
from tests.evals.repository import PROMPT, SUITE, with_capital_suite


def test_files_are_read_as_they_were_at_a_commit(tmp_path: Path):
    made = with_capital_suite(tmp_path)
    first = made.git("rev-parse", "HEAD")
    made.write(PROMPT, "new\n")
    made.write("a name with ä.txt", "x")
    second = made.commit()
    made.write(PROMPT, "not committed\n")
    repository = Repository(tmp_path / "prompts")
    assert repository.path == tmp_path
    assert repository.read(second, PROMPT) == b"new\n"
    assert repository.read(first, PROMPT) != b"new\n"
    assert repository.read(first, "nowhere.yaml") is None
    assert repository.changed(first, second) == ["a name with ä.txt", PROMPT]
    assert repository.files(first, "evals/suites") == ["evals/suites/capital.jsonl", SUITE]
    assert repository.author(second, PROMPT) == "ada@example.org"


def test_the_merge_base_is_where_head_left_base(tmp_path: Path):
    made = with_capital_suite(tmp_path)
    start = made.git("rev-parse", "HEAD")
    made.git("checkout", "--quiet", "-b", "edit")
    head = made.commit()
    made.git("checkout", "--quiet", "main")
    base = made.commit("Meanwhile")
    made.git("checkout", "--quiet", "--orphan", "unrelated")
    unrelated = made.commit()
    repository = Repository(tmp_path)
    assert repository.merge_base(base, head) == start
    assert repository.merge_base(base, unrelated) == base


@pytest.mark.parametrize("ref", ["nowhere", "--help", "", "HEAD~99", "HEAD:prompts"])
def test_a_ref_that_does_not_exist_is_named(tmp_path: Path, ref: str):
    with_capital_suite(tmp_path)
    with pytest.raises(NotFound) as raised:
        Repository(tmp_path).commit(ref)
    assert f"There is no ref '{ref}'" in str(raised.value)


def test_a_folder_outside_git_is_named(tmp_path: Path):
    with pytest.raises(InvalidRequest, match=f"git rev-parse failed in '{tmp_path}'"):
        Repository(tmp_path)
    with pytest.raises(InvalidRequest, match="There is no folder"):
        Repository(tmp_path / "nowhere")


def test_a_failing_git_is_no_repository_without_changes(tmp_path: Path):
    with_capital_suite(tmp_path)
    with pytest.raises(InvalidRequest, match="git diff failed"):
        Repository(tmp_path).changed("0" * 40, "1" * 40)
