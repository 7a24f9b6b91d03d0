"""`sluice ml ingest`, `tables`, `quarantine`, `features`, `training-set`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluice.cli.table import print_table

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from classic_ml.lakehouse import Lakehouse
    from classic_ml.lakehouse.table import Table
    from sluice.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


def register(group: typer.Typer) -> None:
    """Add these commands to `sluice ml`."""
    group.command()(ingest)
    group.command()(tables)
    group.command()(quarantine)
    group.command()(features)
    group.command(name="training-set")(training_set)


def ingest(
    file: Annotated[Path, typer.Argument(help="A CSV file, or one as .gz.")],
    as_of: Annotated[
        datetime | None, typer.Option(formats=DATES, help="The time that it is the state of, UTC. Default: today.")
    ] = None,
    known_at: Annotated[
        datetime | None,
        typer.Option(formats=DATES, help="When it came to be known, if later: a late correction. Default: --as-of."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Load customers from a file into bronze, silver and gold, and into the online store.

    Rows that break expectations go into quarantine with their reasons. The same file again changes nothing.
    """
    from rich.console import Console

    settings, engine, lakehouse = _open()
    from classic_ml.churn import CHURN, CUSTOMER
    from classic_ml.features import materialize
    from classic_ml.ingestion import ingest as load
    from classic_ml.settings import ClassicMlSettings

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with Console(stderr=True).status(f"Loading {file.name}") as status:
        loaded = load(
            file,
            CHURN,
            _utc(as_of) or today,
            lakehouse=lakehouse,
            engine=engine,
            home=settings.home,
            rejected_share=settings.section("classic_ml", ClassicMlSettings).quality.rejected_share,
            known_at=_utc(known_at),
        )
        status.update("Bringing features online")
        online = materialize(engine, lakehouse, CUSTOMER)
    if as_json:
        _print_json(
            {
                "file": loaded.file,
                "as_of": loaded.as_of.isoformat(),
                "already_there": loaded.already_there,
                "rows": loaded.rows,
                "accepted": loaded.accepted,
                "quarantined": loaded.quarantined,
                "reasons": loaded.reasons,
                "tables": loaded.tables,
                "online": online,
            }
        )
        return
    if loaded.already_there:
        typer.echo(f"{file.name} is already there, as of {loaded.as_of:%Y-%m-%d}: nothing was loaded.")
        return
    typer.echo(f"{loaded.accepted:,} of {loaded.rows:,} rows of {file.name} loaded, as of {loaded.as_of:%Y-%m-%d}.")
    if loaded.quarantined:
        typer.echo(f"{loaded.quarantined:,} are in quarantine (sluice ml quarantine):")
        print_table(["rows", "reason"], [[f"{count:,}", reason] for reason, count in loaded.reasons.items()])
    typer.echo(f"{', '.join(loaded.tables)}; {online:,} customers brought online.")


def tables(
    table: Annotated[str | None, typer.Argument(help="Show the columns of this one: gold.churn.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the tables: layer, name, version, rows. Or the columns of one, with their types."""
    _, _, lakehouse = _open()
    from classic_ml.churn import CHURN

    there = lakehouse.tables([CHURN.name])
    if table is not None:
        _show_columns(lakehouse, there, table, as_json)
        return
    found = [(table, table.open()) for table in there]
    columns = ["layer", "name", "version", "rows"]
    rows = [(table.layer, table.name, opened.version(), opened.count()) for table, opened in found]
    if as_json:
        _print_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif not rows:
        typer.echo("There are no tables yet. To make some: sluice ml ingest FILE")
    else:
        print_table(columns, [[layer, name, str(version), f"{count:,}"] for layer, name, version, count in rows])


def quarantine(
    limit: Annotated[int, typer.Option(min=1, help="How many rows, the latest loads first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show rows that did not pass the gate, with all their reasons."""
    _, _, lakehouse = _open()
    from classic_ml.churn import CHURN

    if not lakehouse.table("quarantine", CHURN.name).exists():
        typer.echo("[]" if as_json else "Nothing is in quarantine.")
        return
    kept = lakehouse.read("quarantine", CHURN.name).sort("known_at", "row", descending=[True, False]).head(limit)
    if as_json:
        _print_json(kept.to_dicts())
        return
    print_table(
        ["file", "row", CHURN.key, "reasons"],
        [
            [row["file"][:12], str(row["row"]), row[CHURN.key], "; ".join(row["reasons"])]
            for row in kept.iter_rows(named=True)
        ],
    )


def features(entity: Annotated[str, typer.Argument(help="A customer's id.")], as_json: AsJson = False) -> None:
    """Show what the online store knows of a customer, and since when."""
    _, engine, _ = _open()
    from classic_ml.churn import CUSTOMER
    from classic_ml.features import online_features

    found = online_features(engine, CUSTOMER, entity)
    if as_json:
        _print_json(
            {"entity": entity, "features": found.values, "at": found.at.isoformat(), "source": found.source},
        )
        return
    print_table(["feature", "value"], [[name, str(value)] for name, value in found.values.items()])
    typer.echo(f"As of {found.at:%Y-%m-%d}, from {found.source}.")


def training_set(
    since: Annotated[datetime | None, typer.Option(formats=DATES, help="Only labels from this time on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=DATES, help="Only labels up to this time, UTC.")] = None,
    as_json: AsJson = False,
) -> None:
    """Join each label with the features known at its time; the same data gives the same id."""
    from rich.console import Console

    settings, engine, lakehouse = _open()
    from classic_ml.churn import CHURNED, CUSTOMER
    from classic_ml.features import build_training_set

    home = settings.home
    with Console(stderr=True).status("Joining labels with features"):
        built = build_training_set(lakehouse, [CUSTOMER], CHURNED, engine, home, since=_utc(since), until=_utc(until))
        rows = built.read()
    positive = int(rows[built.label].sum())
    if as_json:
        _print_json(
            {
                "id": built.id,
                "path": str(built.path),
                "entity": built.entity,
                "features": built.features,
                "label": built.label,
                "table": built.table,
                "rows": rows.height,
                "positive": positive,
            }
        )
        return
    typer.echo(f"training_set:{built.id}")
    typer.echo(f"{rows.height:,} rows, {positive:,} with {built.label} = 1, {len(built.features)} features.")
    typer.echo(f"From {built.table}, in {built.path}")


def _show_columns(lakehouse: "Lakehouse", there: "list[Table]", named: str, as_json: bool) -> None:
    from sluice.errors import NotFound

    table = next((table for table in there if f"{table.layer}.{table.name}" == named), None)
    if table is None:
        raise NotFound(f"There is no table {named[:100]}.", fix="See: sluice ml tables")
    columns = lakehouse.columns(table.layer, table.name)
    if as_json:
        _print_json(columns)
    else:
        print_table(["column", "type"], [[name, kind] for name, kind in columns.items()])


def _open() -> "tuple[Settings, Engine, Lakehouse]":
    from classic_ml.lakehouse import Lakehouse
    from sluice.database import connect, migrate
    from sluice.settings_files import load_settings

    settings = load_settings()
    migrate(settings.database_url)
    return settings, connect(settings.database_url), Lakehouse.of(settings)


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, indent=2, default=str))
