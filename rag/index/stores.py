"""Which engine holds a version, by the settings."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rag.index.store import Point, Store
from rag.index.version import POINTS, IndexVersion, damaged
from rag.settings import RagSettings

if TYPE_CHECKING:
    from rag.index.server import ServerStore


def write_store(rag: RagSettings, folder: Path, version: IndexVersion, points: Iterable[Point]) -> None:
    """Store the points of a version that is being built in `folder`.

    Raises:
        StateUnavailable: the Qdrant server cannot be used.
    """
    if rag.qdrant_url is not None:
        store = _open_collection(rag, version)
        try:
            store.write(version.dimensions, points)
        finally:
            store.close()
        return
    from rag.index.edge import EdgeStore

    EdgeStore.write(folder / POINTS, version.dimensions, points)


def open_store(rag: RagSettings, home: Path, version: IndexVersion) -> Store:
    """The points of a version that was built.

    Raises:
        StateUnavailable: its files are damaged.
    """
    if rag.qdrant_url is not None:
        return _open_collection(rag, version)
    from rag.index.edge import EdgeStore

    folder = home / version.name / version.version
    try:
        return EdgeStore(folder / POINTS)
    except Exception as error:  # the engine raises nothing narrower
        raise damaged(version.name, folder, error) from error


def _open_collection(rag: RagSettings, version: IndexVersion) -> "ServerStore":
    from qdrant_client import QdrantClient

    from rag.index.server import ServerStore

    key = os.environ.get(rag.qdrant_key_env) if rag.qdrant_key_env else None
    # Without the check of versions, which prints a warning where no server answers; the first use tells of that.
    client = QdrantClient(url=rag.qdrant_url, api_key=key, check_compatibility=False)
    return ServerStore(client, f"{version.name}@{version.version}")
