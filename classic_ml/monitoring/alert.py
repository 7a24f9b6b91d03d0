"""Alerts: raised once for each pair of data that a monitor compared."""

import hashlib
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, Engine, String
from sqlmodel import Field, Session, SQLModel, col, select

from classic_ml.monitoring.drift import DriftReport, Severity
from sluice import audit, lineage
from sluice.database import UtcDateTime
from sluice.errors import NotFound


class Alert(SQLModel, table=True):
    """One alert.

    Attributes:
        monitor: what was watched: `drift/churn`.
        report: what was compared, where the page lies, and what drifted.
        retraining: MLflow's id of the run that it started, None as long as there is none.
    """

    __tablename__: ClassVar[str] = "alert"  # pyright: ignore[reportIncompatibleVariableOverride]

    id: str = Field(primary_key=True, sa_type=String)
    monitor: str = Field(sa_type=String)
    severity: str = Field(sa_type=String)
    summary: str = Field(sa_type=String)
    report: dict[str, Any] = Field(sa_type=JSON)
    retraining: str | None = Field(default=None, sa_type=String)
    at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=UtcDateTime)


def alert_id(monitor: str, reference: str, current: str) -> str:
    """The id of the alert about two sets of data, which is therefore raised once."""
    return f"alert-{hashlib.sha256(f'{monitor}|{reference}|{current}'.encode()).hexdigest()[:16]}"


def raise_alert(
    engine: Engine, monitor: str, reference: str, current: str, found: DriftReport, about: dict[str, Any]
) -> Alert | None:
    """Keep an alert, with lineage and audit entry in one transaction; None where nothing drifted.

    Args:
        reference, current: lineage ids of what was compared.
        about: goes into the alert's report.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    if found.severity == Severity.INFO:
        return None
    id = alert_id(monitor, reference, current)  # noqa: A001, the field's name
    with Session(engine, expire_on_commit=False) as session:
        audit.hold(session)  # two monitors at once raise it once
        if (known := session.get(Alert, id)) is not None:
            return known
        drifted = {feature.name: round(feature.psi, 4) for feature in found.drifted}
        alert = Alert(
            id=id,
            monitor=monitor,
            severity=str(found.severity),
            summary=f"{len(drifted)} of {len(found.features)} columns drifted, most of all {next(iter(drifted))}",
            report={"reference": reference, "current": current, "drifted": drifted, **about},
        )
        session.add(alert)
        attributes = {"monitor": monitor, "severity": alert.severity, "drifted": drifted}
        lineage.record(session, f"alert:{id}", attributes, [("reference", reference), ("current", current)])
        audit.append(session, actor=monitor, action="alert.raised", subject=f"alert:{id}", detail=attributes)
        session.commit()
        return alert


def find_alert(engine: Engine, id: str | None = None) -> Alert:  # noqa: A002, the field's name
    """An alert by its id, or the newest.

    Raises:
        NotFound: there is none.
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        chosen = select(Alert).order_by(col(Alert.at).desc()).limit(1)
        alert = session.exec(chosen).first() if id is None else session.get(Alert, id)
    if alert is None:
        raise NotFound(
            "There is no alert." if id is None else f"There is no alert {id[:40]}.", fix="Run: sluice ml drift"
        )
    return alert


def link_retraining(engine: Engine, alert: Alert, run: str) -> None:
    """Note the run that an alert started.

    Raises:
        StateUnavailable: the database cannot be used.
    """
    with Session(engine) as session:
        kept = session.get_one(Alert, alert.id)
        if kept.retraining != run:
            kept.retraining = run
            audit.append(
                session,
                actor=alert.monitor,
                action="retraining.done",
                subject=f"alert:{alert.id}",
                detail={"run": run},
            )
            session.commit()
