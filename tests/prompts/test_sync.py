"""A folder of prompts, registered as a whole."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from prompts.registry import list_versions
from prompts.sync import sync_folder
from sluice.errors import InvalidRequest, MissingRequirement, NotFound
from sluice.settings import Settings
from tests.prompts.git import commit


def test_committed_files_are_their_authors_and_others_the_callers(
    tmp_path: Path, engine: Engine, settings: Settings, content: bytes
) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "one.yaml").write_bytes(content)
    hash_ = commit(folder, "Add one")
    (folder / "two.yaml").write_bytes(content)
    (folder / "notes.txt").write_text("no prompt")
    sync_folder(engine, folder, settings)
    sync_folder(engine, folder, settings)
    one, two = list_versions(engine)
    assert (one.name, one.author, one.commit) == ("one", "ada@example.org", hash_)
    assert (two.name, two.author, two.commit) == ("two", "ada", None)
    assert one.version == two.version


def test_one_wrong_file_keeps_all_out(tmp_path: Path, engine: Engine, settings: Settings, content: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    (tmp_path / "b.yaml").write_text("description: d\nmessages:\n  - role: user\n    content: '{{ x }}'\n")
    with pytest.raises(InvalidRequest, match=r"b\.yaml, line 4: 'x' is used, but not declared"):
        sync_folder(engine, tmp_path, settings)
    assert not list_versions(engine)


def test_without_a_key_only_what_is_committed_has_an_author(
    tmp_path: Path, engine: Engine, settings: Settings, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "one.yaml").write_bytes(content)
    with pytest.raises(MissingRequirement, match="There is no API key"):
        sync_folder(engine, folder, settings)
    assert not list_versions(engine)
    commit(folder, "Add one")
    sync_folder(engine, folder, settings)
    assert len(list_versions(engine)) == 1


@pytest.mark.parametrize("folder", ["nowhere", ""])
def test_no_prompts_there(tmp_path: Path, engine: Engine, settings: Settings, folder: str) -> None:
    with pytest.raises(NotFound, match="There is no prompt in"):
        sync_folder(engine, tmp_path / folder, settings)
