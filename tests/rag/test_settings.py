import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

from rag.settings import PROMPT, PROMPT_VERSION, RagSettings, index_home
from sluice.settings import Settings
from sluice.settings_files import load_settings

ROOT = Path(__file__).parents[2]


def test_the_prompts_version_is_that_of_its_file() -> None:
    content = (ROOT / f"prompts/library/{PROMPT}.yaml").read_bytes()
    assert hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == PROMPT_VERSION


def test_the_shipped_file_shows_the_defaults() -> None:
    assert load_settings(ROOT / "configs", {}).section("rag", RagSettings) == RagSettings()


def test_indexes_lie_in_the_platforms_home_unless_a_folder_is_named(tmp_path: Path) -> None:
    settings = Settings.model_validate({"platform": {"home": tmp_path}})
    assert index_home(settings) == tmp_path / "indexes"
    elsewhere = settings.model_copy(update={"extensions": {"rag": RagSettings(home=tmp_path / "vectors")}})
    assert index_home(elsewhere) == tmp_path / "vectors"


@pytest.mark.parametrize("wrong", [{"chunk_tokens": 2}, {"threshold": 1.5}, {"qdrant_url": "here"}, {"chunks": 3}])
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RagSettings.model_validate(wrong)
