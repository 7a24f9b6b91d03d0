"""One load: file → bronze → gate → silver → gold, each step committed once, so that it can be repeated at any point."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from sqlalchemy import Engine

from classic_ml.exclusive import exclusive
from classic_ml.ingestion.csv_file import CELLS, CsvFile, read_csv
from classic_ml.ingestion.dataset import Dataset
from classic_ml.ingestion.provenance import record_load
from classic_ml.lakehouse import Lakehouse, table_id
from classic_ml.quality import Expectation, Gated, judge
from sluice.errors import Conflict, InvalidRequest
from sluice.home import Home
from sluice.saving import save_whole


@dataclass(frozen=True)
class Ingested:
    """What became of a file.

    Attributes:
        file: its lineage id.
        already_there: it had been loaded before, and nothing was written.
        rows, accepted, quarantined: counts; the first is the sum of the others.
        reasons: how many rows each reason met.
        tables: the lineage ids of the table versions that brought it in, bronze first.
    """

    file: str
    as_of: datetime
    already_there: bool
    rows: int
    accepted: int
    quarantined: int
    reasons: dict[str, int]
    tables: tuple[str, ...]


def ingest(
    source: Path,
    dataset: Dataset,
    at: datetime,
    *,
    lakehouse: Lakehouse,
    engine: Engine,
    home: Home,
    rejected_share: float = 0.2,
    known_at: datetime | None = None,
    now: datetime | None = None,
) -> Ingested:
    """Load one file, the state of `at`; a second time changes nothing, and a load that was cut off goes on.

    Args:
        source: CSV, or CSV as `.gz`.
        at: what time the rows tell of.
        rejected_share: the share of rows that may break expectations; rows that only repeat a key do not count.
        known_at: when they came to be known, if later: training sets see a late correction only from then on.
        now: the clock's time, unless another is given; a load tells of nothing later.

    Raises:
        NotFound, InvalidRequest: the file cannot be used, and nothing was written; or too many of its rows break
            expectations, and bronze and quarantine hold them, but silver nothing.
        Conflict: the same file is there as the state of another time, or another process loads.
        StateUnavailable: the database cannot be used.
    """
    known_at = known_at or at
    if at.tzinfo is None or known_at.tzinfo is None or known_at < at:
        raise InvalidRequest("A load's times need a time zone, and nothing is known before it is so.", param="at")
    if known_at > (now or datetime.now(UTC)):
        # A typo of a year would be the newest month, and rule every feature and drift report until then.
        raise InvalidRequest(
            f"{known_at:%Y-%m-%d} lies in the future.", fix="Name a time that has come, in UTC.", param="at"
        )
    file = read_csv(source, dataset.columns)
    load, name = f"file:{file.hash}", dataset.name
    # One after the other: of two at once, the earlier's rows could come into gold last.
    with exclusive(home, "ingest"):
        _refuse_other_time(file, load, dataset, lakehouse, at)
        already_there = lakehouse.table("gold", name).commit_of(load) is not None

        kept = home.root / "ml" / "files" / file.hash
        if not kept.exists():
            save_whole(kept, file.content)
        rows = _as_bronze(file, at, known_at)
        commits = [lakehouse.append("bronze", name, rows, source=load, made_from=[load])]
        bronze = commits[0].id
        whole = Expectation("has not as many cells as the header", pl.col(CELLS) == len(dataset.columns))
        # Of a row that is cut elsewhere, which cell stands where is not known: it has this one fault.
        others = [replace(expected, holds=expected.holds | ~whole.holds) for expected in dataset.expectations]
        gated = judge(rows, (whole, *others), dataset.key)
        if not gated.quarantined.is_empty():
            commits.append(lakehouse.append("quarantine", name, gated.quarantined, source=load, made_from=[bronze]))
        refused = gated.rejected > rejected_share * rows.height or gated.accepted.is_empty()
        if not refused:
            key = (dataset.entity, "as_of", "known_at")
            silver = dataset.silver(gated.accepted)
            commits.append(lakehouse.merge("silver", name, silver, key=key, source=load, made_from=[bronze]))
            # From silver as it is now: another file's correction may have come since, where this load was cut off.
            version = lakehouse.version("silver", name)
            kept_rows = lakehouse.read("silver", name, version).join(silver.select(key), on=key, how="semi")
            made_from = [table_id("silver", name, version)]
            commits.append(
                lakehouse.merge("gold", name, dataset.gold(kept_rows), key=key, source=load, made_from=made_from)
            )
        record_load(engine, lakehouse, file, at, commits)
    if refused:
        raise _too_many(file, gated, rejected_share)
    return Ingested(
        file=load,
        as_of=at,
        already_there=already_there,
        rows=rows.height,
        accepted=gated.accepted.height,
        quarantined=gated.quarantined.height,
        reasons=gated.counts,
        tables=tuple(commit.id for commit in commits),
    )


def _refuse_other_time(file: CsvFile, load: str, dataset: Dataset, lakehouse: Lakehouse, at: datetime) -> None:
    commit = lakehouse.table("bronze", dataset.name).commit_of(load)
    if commit is None:
        return
    rows = lakehouse.read("bronze", dataset.name, commit.version)
    there = rows.filter(pl.col("file") == file.hash)["as_of"][0]
    if there != at:
        raise Conflict(
            f"{file.name} is already there, as of {there:%Y-%m-%d}.", fix="Load it as of that day, or check the file."
        )


def _as_bronze(file: CsvFile, at: datetime, known_at: datetime) -> pl.DataFrame:
    moment = pl.Datetime("us", "UTC")
    return file.rows.with_columns(
        pl.lit(file.hash).alias("file"),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row"),
        pl.lit(at).cast(moment).alias("as_of"),
        pl.lit(known_at).cast(moment).alias("known_at"),
    )


def _too_many(file: CsvFile, gated: Gated, allowed: float) -> InvalidRequest:
    total = gated.accepted.height + gated.quarantined.height
    most = "; ".join(f"{reason} ({count:,})" for reason, count in list(gated.counts.items())[:3])
    return InvalidRequest(
        f"{gated.rejected:,} of {total:,} rows of {file.name} break expectations, more than {allowed:.0%}: {most}.",
        fix="Nothing of it went into silver; mend the file, or raise classic_ml.quality.rejected_share.",
    )
