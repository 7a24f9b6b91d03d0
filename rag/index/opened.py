"""Indexes that stay open, the newest version of each."""

import threading
from dataclasses import dataclass, field

from sqlalchemy import Engine

from rag.embedding import Embedder
from rag.index.search import Index
from rag.index.store import Store
from rag.index.stores import open_store
from rag.index.version import IndexVersion, current_version
from rag.settings import index_home, rag_settings
from sluice.gateway_client import GatewayClient
from sluice.settings import Settings


@dataclass
class OpenIndexes:
    """Opens each version once; safe to use from several threads."""

    settings: Settings
    engine: Engine
    _stores: dict[str, tuple[str, Store]] = field(default_factory=dict[str, tuple[str, Store]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, name: str | None, client: GatewayClient) -> Index:
        """The version in use of an index (None: of `rag.index`), searched on behalf of the client's key.

        Raises:
            NotFound: there is no such index.
            StateUnavailable: the database cannot be used, or the index is damaged.
        """
        rag = rag_settings(self.settings)
        version = current_version(index_home(self.settings), self.engine, name or rag.index)
        embedder = Embedder(client, version.model)
        return Index(version, self._store(version), embedder, rag.candidates, rag.dense_weight)

    def close(self) -> None:
        """Close them all."""
        for _, store in self._stores.values():
            store.close()
        self._stores.clear()

    def _store(self, version: IndexVersion) -> Store:
        with self._lock:
            opened = self._stores.get(version.name)
            if opened is None or opened[0] != version.version:
                # The one before is not closed: another thread may still search it, and its files stay where they are.
                opened = version.version, open_store(rag_settings(self.settings), index_home(self.settings), version)
                self._stores[version.name] = opened
            return opened[1]
