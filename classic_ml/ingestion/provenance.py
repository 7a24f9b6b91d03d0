"""What a load leaves in the lineage."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine
from sqlmodel import Session

from classic_ml.ingestion.csv_file import CsvFile
from classic_ml.lakehouse import Commit, Lakehouse
from sluice import lineage


def record_load(engine: Engine, lakehouse: Lakehouse, file: CsvFile, at: datetime, commits: Sequence[Commit]) -> None:
    """Note the file and each table version that a load made, in one transaction.

    A version of silver was made from the bronze of every load up to it, so that a trace ends at each file; a version of
    gold was made from one version of silver.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        facts = {"name": file.name, "bytes": len(file.content), "rows": file.rows.height}
        lineage.record(session, f"file:{file.hash}", facts)
        for commit in commits:
            made_from = (
                lakehouse.table("silver", commit.name).made_from_until(commit.version)
                if commit.layer == "silver"
                else commit.made_from
            )
            # The role is what the source is: file, bronze, silver.
            sources = [(_role(source), source) for source in made_from]
            lineage.record(session, commit.id, {"as_of": at.date().isoformat()}, sources)
        session.commit()


def _role(source: str) -> str:
    kind, _, key = source.partition(":")
    return key.partition(".")[0] if kind == "table" else kind
