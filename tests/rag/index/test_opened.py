from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from rag.index.build import Built
from rag.index.opened import OpenIndexes
from sluice.errors import StateUnavailable
from sluice.gateway_client import GatewayClient
from sluice.settings import Settings


def test_an_index_is_opened_once_and_a_newer_version_is_noticed(
    pages: Path, build: Callable[[Path], Built], settings: Settings, database: Engine, client: GatewayClient
) -> None:
    build(pages)
    indexes = OpenIndexes(settings, database)
    first = indexes.open(None, client)
    assert indexes.open("docs", client).store is first.store
    (pages / "new.txt").write_text("The tunnel at Quarley is 480 metres long.")
    build(pages)
    second = indexes.open(None, client)
    assert second.search("tunnel at Quarley", 1)[0].path == "new.txt"
    assert first.search("canoes", 1)[0].path == "tolls.txt", "who has the older version open goes on with it"
    indexes.close()


@pytest.mark.parametrize("damaged", ["points/edge_config.json", "manifest.json"])
def test_a_damaged_index_is_named(
    pages: Path,
    build: Callable[[Path], Built],
    settings: Settings,
    database: Engine,
    client: GatewayClient,
    damaged: str,
) -> None:
    version = build(pages).version
    folder = settings.platform.home / "indexes" / "docs" / version.version
    (folder / damaged).write_text("{")
    with pytest.raises(StateUnavailable, match=f"Index 'docs' in '{folder}' cannot be opened"):
        OpenIndexes(settings, database).open("docs", client)
