"""What guardrails decided, as entries of the audit log: one for each request, in the transaction of its usage record."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection
from sqlmodel import Session, SQLModel, select

from sluice.audit import append, hold

if TYPE_CHECKING:
    from gateway.usage.record import UsageRecord

ACTOR = "gateway"


def not_yet_written(connection: Connection, records: Sequence["UsageRecord"]) -> list["UsageRecord"]:
    """Those whose rows are still to come. Until the transaction ends, nobody else can write them or an entry."""
    with Session(bind=connection) as session:
        hold(session)
    ids = SQLModel.metadata.tables["usage_record"].c.request_id
    chosen = select(ids).where(ids.in_([record.request_id for record in records]))
    written = set(connection.execute(chosen).scalars())
    return list({record.request_id: record for record in records if record.request_id not in written}.values())


def audit(connection: Connection, records: Sequence["UsageRecord"]) -> None:
    """Append an entry for each."""
    with Session(bind=connection) as session:
        for record in records:
            verdicts: list[dict[str, Any]] = msgspec.json.decode(record.verdicts or "[]")
            blocked = any(verdict["action"] == "block" for verdict in verdicts)
            append(
                session,
                actor=ACTOR,
                action="guardrail.blocked" if blocked else "guardrail.redacted",
                subject=f"request:{record.request_id}",
                detail={"key": record.key_id, "policy": record.policy, "verdicts": verdicts},
            )
