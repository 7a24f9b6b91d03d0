"""A request in the trace: its usage record, with what it was made from.

Which weights answered is not in the record: a gateway notes once, when it starts, what each of its models is made of, and
a request's id tells which gateway answered it. So the path of a request writes nothing, and a model that is replaced
later changes nothing about the requests before.
"""

import json
import logging
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.kept.body_table import find_body
from gateway.request_id import BOOT, boot_of
from gateway.usage.record import UsageRow
from sluice.errors import StateUnavailable
from sluice.identity import ApiKey
from sluice.lineage import Found, Source, record
from sluice.lineage.graph import LineageNode
from sluice.models.sources import read_record
from sluice.settings import Settings

log = logging.getLogger(__name__)


def record_models(engine: Engine, settings: Settings) -> None:
    """Note which weights this process's models have: those that were fetched; elsewhere only others know.

    A database that cannot be written does not fail the gateway: traces then end at the model's name.
    """
    home = settings.home
    models: dict[str, str] = {}
    try:
        with Session(engine) as session:
            for name, model in settings.models.items():
                if fetched := read_record(name, model, home):
                    models[name] = f"model:{name}@{fetched.digest}"
                    record(session, models[name], {"source": fetched.source, "fetched_at": fetched.fetched_at})
            record(session, f"gateway:{BOOT}", {"models": models}, [("model", id_) for id_ in models.values()])
            session.commit()
    except StateUnavailable as error:
        log.warning("Traces of requests will not tell which weights answered: %s", error)


def resolve(session: Session, key: str) -> Found | None:
    """What is known of `request:<key>`."""
    row = session.get(UsageRow, key)
    if row is None:
        return None
    owner = session.get(ApiKey, row.key_id)
    attributes = {
        "endpoint": row.endpoint,
        "model": row.route,
        "status": row.status,
        "error": row.error,
        "streamed": row.streamed,
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "completion_tokens": row.completion_tokens,
        "charged_tokens": row.charged_tokens,
        "duration_ms": row.duration_ms,
        "key": row.key_id,
        "owner": owner and owner.owner,
        "policy": row.policy,
        "verdicts": row.verdicts and json.loads(row.verdicts),
    }
    if kept := find_body(session, key, datetime.now(UTC)):
        attributes["request"] = kept.request.decode("utf-8", "replace")
        attributes["answer"] = kept.response and kept.response.decode("utf-8", "replace")
    return Found(attributes, tuple(_sources(session, row)), datetime.fromtimestamp(row.started_at, UTC))


def model_of(session: Session, request_id: str, route: str) -> str | None:
    """Which weights a route had when a request was answered, where the gateway knew."""
    gateway = session.get(LineageNode, f"gateway:{boot_of(request_id)}")
    return gateway and gateway.attributes["models"].get(route)


def _sources(session: Session, row: UsageRow) -> list[Source]:
    sources = [
        ("model", model_of(session, row.request_id, row.route)),
        ("prompt", row.prompt and f"prompt:{row.prompt}"),
        ("policy", row.policy and f"policy:{row.policy}"),
        ("parent", row.parent_id and f"request:{row.parent_id}"),
    ]
    return [(role, id_) for role, id_ in sources if id_]
