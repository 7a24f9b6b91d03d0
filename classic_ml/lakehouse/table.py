"""One Delta table: created once, written by commits that each happen once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from sluice.errors import Conflict

Layer = Literal["bronze", "quarantine", "silver", "gold"]
LAYERS: tuple[Layer, ...] = get_args(Layer)

SOURCE = "sluice.source"
MADE_FROM = "sluice.made_from"
ATTEMPTS = 10
"""Commits that another process may come before; each attempt reads the table again."""


def table_id(layer: Layer, name: str, version: int) -> str:
    """Its id in the lineage."""
    return f"table:{layer}.{name}@{version}"


@dataclass(frozen=True)
class Commit:
    """What one source brought into a table.

    Attributes:
        source: the id of what was loaded; a table holds one commit of each.
        made_from: lineage ids of the table versions (or files) it was computed from.
    """

    layer: Layer
    name: str
    version: int
    source: str
    made_from: tuple[str, ...]

    @property
    def id(self) -> str:
        """The id of the table's version that this commit made."""
        return table_id(self.layer, self.name, self.version)


@dataclass(frozen=True)
class Table:
    """A Delta table by its address, which need not exist yet.

    A commit carries its source as a Delta application transaction: of two processes that load the same source at the
    same time, Delta lets one through, and whoever comes again later finds the commit and writes nothing.
    """

    layer: Layer
    name: str
    uri: str
    storage_options: dict[str, str]

    def exists(self) -> bool:
        """Whether it was created."""
        return DeltaTable.is_deltatable(self.uri, self.storage_options)

    def open(self) -> DeltaTable:
        """The table at its latest version."""
        return DeltaTable(self.uri, storage_options=self.storage_options)

    def commit_of(self, source: str) -> Commit | None:
        """The commit that brought a source, None where there is none."""
        if not self.exists():
            return None
        table = self.open()
        if table.transaction_version(source) is None:
            return None
        entry = next(entry for entry in table.history() if entry.get(SOURCE) == source)
        return Commit(self.layer, self.name, entry["version"], source, tuple(entry[MADE_FROM].split()))

    def made_from_until(self, version: int) -> tuple[str, ...]:
        """What all commits up to a version were made from, oldest first."""
        entries = [entry for entry in reversed(self.open().history()) if MADE_FROM in entry]
        return tuple(made for entry in entries if entry["version"] <= version for made in entry[MADE_FROM].split())

    def commit(self, rows: pl.DataFrame, source: str, made_from: Sequence[str], key: Sequence[str] = ()) -> Commit:
        """Bring a source's rows in, once.

        Args:
            key: columns that name a row; a row that is there already is replaced. Empty: rows are appended.

        Raises:
            Conflict: others kept writing to the table.
        """
        properties = CommitProperties(
            custom_metadata={SOURCE: source, MADE_FROM: " ".join(made_from)},
            app_transactions=[Transaction(source, 1)],
        )
        for _ in range(ATTEMPTS):
            if found := self.commit_of(source):
                return found
            try:
                self._create(rows)
                self._write(rows, key, properties)
            except CommitFailedError:
                continue
        raise Conflict(f"Others keep writing to {self.layer}.{self.name}.", fix="Try again.")

    def _create(self, rows: pl.DataFrame) -> None:
        if self.exists():
            return
        # Minima and maxima of a column in the log would outlive a person's deletion: keep them for times only. Old
        # versions stay readable, because lineage names them.
        times = [name for name, dtype in rows.schema.items() if dtype == pl.Datetime]
        configuration = {
            "delta.dataSkippingStatsColumns": ",".join(times),
            "delta.enableExpiredLogCleanup": "false",
        }
        DeltaTable.create(
            self.uri,
            rows.to_arrow().schema,
            mode="ignore",
            configuration=configuration,
            storage_options=self.storage_options,
        )

    def _write(self, rows: pl.DataFrame, key: Sequence[str], properties: CommitProperties) -> None:
        if not key:
            write_deltalake(self.open(), rows, mode="append", commit_properties=properties)
            return
        same = " AND ".join(f"target.{column} = source.{column}" for column in key)
        merger = self.open().merge(
            rows, same, source_alias="source", target_alias="target", commit_properties=properties
        )
        merger.when_matched_update_all().when_not_matched_insert_all().execute()
