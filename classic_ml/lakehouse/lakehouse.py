"""All tables of a deployment, on a disk or in an object store."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl
from deltalake.exceptions import DeltaError

from classic_ml.lakehouse.sql import query_gold
from classic_ml.lakehouse.table import LAYERS, Commit, Layer, Table, table_id
from classic_ml.settings import ClassicMlSettings, SqlSettings
from sluice.errors import NotFound
from sluice.settings import Settings


class Lakehouse:
    """Delta tables below one root, `<layer>/<name>` each.

    Args:
        root: a folder, or a URL such as `s3://bucket/prefix`.
        storage_options: what deltalake takes for an object store.
        limits: what one SQL query may take.
    """

    def __init__(
        self, root: Path | str, storage_options: dict[str, str] | None = None, limits: SqlSettings | None = None
    ) -> None:
        self.root = str(root).rstrip("/")
        self.storage_options = storage_options or {}
        self.limits = limits or SqlSettings()

    @classmethod
    def of(cls, settings: Settings) -> "Lakehouse":
        """The one that the settings describe."""
        section = settings.section("classic_ml", ClassicMlSettings)
        root = section.lakehouse.url or settings.platform.home.absolute() / "lakehouse"
        return cls(root, section.lakehouse.storage_options, section.sql)

    def table(self, layer: Layer, name: str) -> Table:
        """A table, whether it exists or not."""
        return Table(layer, name, f"{self.root}/{layer}/{name}", self.storage_options)

    def tables(self, names: Iterable[str]) -> list[Table]:
        """Those that exist of these names, layer by layer."""
        every = [self.table(layer, name) for name in names for layer in LAYERS]
        return [table for table in every if table.exists()]

    def version(self, layer: Layer, name: str) -> int:
        """A table's latest version.

        Raises:
            NotFound: there is no such table.
        """
        return self._existing(layer, name).open().version()

    def read(self, layer: Layer, name: str, version: int | None = None) -> pl.DataFrame:
        """A table's rows, at its latest version unless another is named.

        Raises:
            NotFound: there is no such table, or no such version of it.
        """
        table = self._existing(layer, name)
        try:
            return pl.read_delta(table.uri, version=version, storage_options=self.storage_options or None)
        except DeltaError:
            if version is None:
                raise
            raise NotFound(f"There is no {table_id(layer, name, version)}.", fix="See: sluice ml tables") from None

    def columns(self, layer: Layer, name: str) -> dict[str, str]:
        """A table's columns and their types.

        Raises:
            NotFound: there is no such table.
        """
        rows = pl.scan_delta(self._existing(layer, name).uri, storage_options=self.storage_options or None)
        return {column: str(kind) for column, kind in rows.collect_schema().items()}

    def append(self, layer: Layer, name: str, rows: pl.DataFrame, *, source: str, made_from: Sequence[str]) -> Commit:
        """Add a source's rows, once; a second time changes nothing and returns the first commit."""
        return self.table(layer, name).commit(rows, source, made_from)

    def merge(
        self,
        layer: Layer,
        name: str,
        rows: pl.DataFrame,
        *,
        key: Sequence[str],
        source: str,
        made_from: Sequence[str],
    ) -> Commit:
        """As `append`, but a row whose `key` is there already is replaced."""
        return self.table(layer, name).commit(rows, source, made_from, key)

    def sql(self, query: str) -> pl.DataFrame:
        """The result of one SELECT on gold tables, by DuckDB.

        Raises:
            InvalidRequest: it is anything else, is wrong, or takes more than `limits`.
            ProcessFailed: the process that runs it failed.
        """
        return query_gold(query, self._gold, self.limits)

    def _gold(self, name: str) -> pl.DataFrame | None:
        return self.read("gold", name) if self.table("gold", name).exists() else None

    def _existing(self, layer: Layer, name: str) -> Table:
        table = self.table(layer, name)
        if not table.exists():
            raise NotFound(f"There is no table {layer}.{name}.", fix="Load data first: sluice ml ingest FILE")
        return table
