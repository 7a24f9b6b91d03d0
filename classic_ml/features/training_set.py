"""Training sets: labels with the features known at their time, named by the hash of their content."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Engine
from sqlmodel import Session

from classic_ml.features.content_hash import content_hash
from classic_ml.features.point_in_time import join_as_known
from classic_ml.features.view import FeatureView, LabelView
from classic_ml.lakehouse import Lakehouse, table_id
from sluice import lineage
from sluice.errors import Conflict, InvalidRequest, NotFound
from sluice.home import Home
from sluice.saving import save_whole


@dataclass(frozen=True)
class TrainingSet:
    """Rows to learn from. Columns: entity, `at`, the features, the label (0 or 1).

    Attributes:
        id: SHA-256 of the content.
        path: a Parquet file.
        table: the lineage id of the gold table's version it was made from.
    """

    id: str
    path: Path
    features: tuple[str, ...]
    label: str
    entity: str
    table: str

    def read(self) -> pl.DataFrame:
        """The rows, ordered by entity and time.

        Raises:
            Conflict: the file's content is not what the id names.
        """
        rows = pl.read_parquet(self.path)
        if content_hash(rows) != self.id:
            fix = f"Remove {self.path} and build it again."
            raise Conflict(f"The file of training set {self.id[:12]} was changed.", fix=fix)
        return rows


def build_training_set(
    lakehouse: Lakehouse,
    views: Sequence[FeatureView],
    labels: LabelView,
    engine: Engine,
    home: Home,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> TrainingSet:
    """Join each label with the features known at its time; the same content gives the same id, file and lineage node.

    Labels for which a view knew nothing are left out; the manifest beside the file counts them.

    Args:
        views: of the labels' entity and gold table.
        since, until: only labels of these times, both included.

    Raises:
        InvalidRequest: no label has features, or a view is about something else.
        NotFound: there is no gold table yet.
    """
    for view in views:
        if (view.entity, view.table) != (labels.entity, labels.table):
            raise InvalidRequest(f"View '{view.name}' is not about {labels.entity} in gold.{labels.table}.")
    version = lakehouse.version("gold", labels.table)
    gold = lakehouse.read("gold", labels.table, version)
    wanted = labels.rows(gold).filter(_within(since, until))
    rows = wanted
    for view in views:
        rows = join_as_known(rows, view, view.rows(gold))
        rows = rows.filter(~pl.all_horizontal(pl.col(name).is_null() for name in view.features))
    if rows.is_empty():
        raise InvalidRequest(f"No label of gold.{labels.table} has features.", fix="Widen the times, or ingest more.")
    features = tuple(name for view in views for name in view.features)
    rows = rows.select(labels.entity, "at", *features, labels.label).sort(labels.entity, "at")
    made = TrainingSet(
        id=(content := content_hash(rows)),
        path=_folder(home) / f"{content}.parquet",
        features=features,
        label=labels.label,
        entity=labels.entity,
        table=table_id("gold", labels.table, version),
    )
    made = _save(made, rows, {"views": [view.name for view in views], "left_out": wanted.height - rows.height})
    with Session(engine) as session:
        attributes = {"rows": rows.height, "positive": int(rows[made.label].sum()), "features": len(features)}
        lineage.record(session, f"training_set:{made.id}", attributes, [("gold", made.table)])
        session.commit()
    return made


def load_training_set(home: Home, id: str) -> TrainingSet:  # noqa: A002, the field's name
    """A training set that was built here.

    Raises:
        NotFound: there is none of that id.
    """
    path = _folder(home) / f"{id}.json"
    if not id.isalnum() or not path.exists():
        raise NotFound(f"There is no training set {id[:64]}.", fix="Build one: sluice ml training-set")
    return _read_manifest(path)


def _read_manifest(path: Path) -> TrainingSet:
    manifest: dict[str, Any] = json.loads(path.read_bytes())
    return TrainingSet(
        manifest["id"],
        path.with_suffix(".parquet"),
        tuple(manifest["features"]),
        manifest["label"],
        manifest["entity"],
        manifest["table"],
    )


def _folder(home: Home) -> Path:
    return home.root / "ml" / "training_sets"


def _within(since: datetime | None, until: datetime | None) -> pl.Expr:
    after = pl.lit(True) if since is None else pl.col("at") >= since
    return after if until is None else after & (pl.col("at") <= until)


def _save(made: TrainingSet, rows: pl.DataFrame, about: dict[str, Any]) -> TrainingSet:
    """Keep the rows and then the manifest, so that a set with a manifest is whole; one that is there stays as it is."""
    if made.path.exists() and made.path.with_suffix(".json").exists():
        return _read_manifest(made.path.with_suffix(".json"))
    content = BytesIO()
    rows.write_parquet(content)
    save_whole(made.path, content.getvalue())
    manifest = {
        "id": made.id,
        "entity": made.entity,
        "features": made.features,
        "label": made.label,
        "table": made.table,
        "rows": rows.height,
        "positive": int(rows[made.label].sum()),
        "times": [moment.isoformat() for moment in rows["at"].unique().sort()],
        **about,
    }
    save_whole(made.path.with_suffix(".json"), json.dumps(manifest, indent=2).encode())
    return made
