from pathlib import Path

import pytest


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite alone: what a load leaves in the database is tested on both with the trace of a training set."""
    return f"sqlite:///{tmp_path / 'state' / 'sluice.db'}"
