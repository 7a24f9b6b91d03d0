"""The online store: each entity's newest features, one row to read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import polars as pl
from sqlalchemy import JSON, Engine, String, func, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, col

from classic_ml.features.view import FeatureView
from classic_ml.lakehouse import Lakehouse, table_id
from sluice.database import UtcDateTime
from sluice.errors import NotFound

BATCH = 1000
"""Rows of one statement; more would pass SQLite's limit of parameters."""


class OnlineFeature(SQLModel, table=True):
    """One entity's features in one view; `source` is the gold table's version they come from."""

    __tablename__: ClassVar[str] = "online_feature"  # pyright: ignore[reportIncompatibleVariableOverride]

    view: str = Field(primary_key=True, sa_type=String)
    entity: str = Field(primary_key=True, sa_type=String)
    features: dict[str, Any] = Field(sa_type=JSON)
    at: datetime = Field(sa_type=UtcDateTime)
    source: str = Field(sa_type=String)


@dataclass(frozen=True)
class OnlineFeatures:
    """What is known of an entity now.

    Attributes:
        values: by feature, in the view's order.
        at: the event time of the row they come from.
        source: the lineage id of the gold table's version.
    """

    values: dict[str, Any]
    at: datetime
    source: str


def materialize(engine: Engine, lakehouse: Lakehouse, view: FeatureView) -> int:
    """Bring each entity's newest features into the store, all in one transaction; returns how many rows changed.

    What is newer there stays, also what a later version of gold says of the same time; entities that gold does not know
    stay too, and a second time changes nothing.

    Raises:
        NotFound: there is no gold table yet.
        StateUnavailable: the database cannot be used.
    """
    version = lakehouse.version("gold", view.table)
    source = table_id("gold", view.table, version)
    rows = [
        {
            "view": view.name,
            "entity": str(row[view.entity]),
            "features": {name: row[name] for name in view.features},
            "at": row[view.event_time],
            "source": source,
        }
        for row in _newest(view, view.rows(lakehouse.read("gold", view.table, version))).iter_rows(named=True)
    ]
    of_table = source.removesuffix(str(version))
    changed = 0
    with Session(engine) as session:
        insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
        for start in range(0, len(rows), BATCH):
            added = insert(OnlineFeature).values(rows[start : start + BATCH])
            there = col(OnlineFeature.source)
            # Two ids of one table differ in their last number: the longer one's is greater.
            later = tuple_(func.length(added.excluded.source), added.excluded.source) > tuple_(
                func.length(there), there
            )
            newer = (added.excluded.at > col(OnlineFeature.at)) | (
                (added.excluded.at == col(OnlineFeature.at)) & (later | ~there.startswith(of_table, autoescape=True))
            )
            upsert = added.on_conflict_do_update(
                index_elements=["view", "entity"],
                set_={name: added.excluded[name] for name in ("features", "at", "source")},
                where=newer,
            ).returning(col(OnlineFeature.entity))
            changed += len(session.connection().execute(upsert).all())
        session.commit()
    return changed


def online_features(engine: Engine, view: FeatureView, entity: str, now: datetime | None = None) -> OnlineFeatures:
    """An entity's features as of the newest row that is known of it.

    Raises:
        NotFound: the view knows no such entity, or what it knows is older than its `ttl`.
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        row = session.get(OnlineFeature, (view.name, entity))
    if row is None:
        raise NotFound(f"View '{view.name}' knows no {view.entity} '{entity[:100]}'.", fix="Check it, or ingest more.")
    if view.ttl is not None and (now or datetime.now(UTC)) - row.at > view.ttl:
        raise NotFound(f"What view '{view.name}' knows of {view.entity} '{entity[:100]}' is out of date.")
    return OnlineFeatures({name: row.features[name] for name in view.features}, row.at, row.source)


def _newest(view: FeatureView, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort(view.event_time, view.known_time).unique(view.entity, keep="last", maintain_order=True)
