from pathlib import Path

import pytest
import yaml

from sluice.database import connect, migrate
from sluice.identity import create_key
from sluice.settings import Settings
from sluice.settings_files import load_settings


@pytest.fixture
def settings(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a deployment of its own, for commands too, and in the environment a key of Ada's."""
    folder = tmp_path / "configs"
    folder.mkdir()
    platform = {"home": str(tmp_path / "home"), "database": database_url}
    (folder / "all.yaml").write_text(yaml.safe_dump({"platform": platform}))
    monkeypatch.setenv("SLUICE_CONFIG", str(folder))
    migrate(database_url)
    engine = connect(database_url)
    monkeypatch.setenv("OPENAI_API_KEY", create_key(engine, owner="ada")[1])
    engine.dispose()
    return load_settings()


@pytest.fixture
def content() -> bytes:
    """A small prompt."""
    return b"description: d\nmessages:\n  - role: user\n    content: hello\n"
