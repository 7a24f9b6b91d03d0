"""A file's content as Git itself has it; `tests/prompts/test_commit.py` has the commits that it comes from."""

import subprocess
from pathlib import Path

import pytest

from sluice.git_blob import as_in_git, blob_hash


@pytest.mark.parametrize("content", [b"", b"a\n", "ünï\r\n\u2028".encode(), b"\xff\x00" * 70_000])
def test_a_version_is_the_hash_that_git_gives(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    asked = subprocess.run(["git", "hash-object", str(file)], capture_output=True, text=True, check=True)
    assert blob_hash(content) == asked.stdout.strip()


def test_outside_of_a_repository_a_file_is_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_bytes(b"one\r\n")
    assert as_in_git(file, b"one\r\n") == b"one\r\n"
