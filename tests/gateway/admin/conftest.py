from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.scripted_upstream import ScriptedUpstream
from tests.gateway.admin.administered import Administered


@pytest.fixture
def gateway(tmp_path: Path, database_url: str, scripted_upstream: ScriptedUpstream) -> Iterator[Administered]:
    """On SQLite and on PostgreSQL."""
    with Administered(tmp_path, scripted_upstream.url, database_url) as running:
        yield running
