"""A kept request sent again: the same messages, parameters and seed, to the model of the same name."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.endpoints import ENDPOINTS
from gateway.kept.body_table import RequestBody, find_body
from gateway.usage.lineage import model_of
from gateway.usage.record import UsageRow
from sluice.errors import NotFound
from sluice.gateway_client import GatewayClient, gateway_access
from sluice.settings import Settings


@dataclass(frozen=True)
class KeptRequest:
    """A request whose bodies are kept, with its usage record."""

    record: UsageRow
    body: RequestBody


@dataclass(frozen=True)
class Replay:
    """Both answers, by choice; `notes` say why they may differ."""

    request_id: str
    before: list[str]
    again: list[str]
    notes: list[str]


def find_kept(engine: Engine, request_id: str) -> KeptRequest:
    """A request by its id, also as `request:<id>`.

    Raises:
        NotFound: there is no such request, or nothing is kept of it.
        StateUnavailable: the database cannot be used.
    """
    request_id = request_id.removeprefix("request:")
    with Session(engine, expire_on_commit=False) as session:
        record = session.get(UsageRow, request_id)
        if record is None:
            raise NotFound(f"There is no request '{request_id}'.", fix="Its id is the answer's header x-request-id.")
        body = find_body(session, request_id, datetime.now(UTC))
    if body is None:
        policy = f"the policy {record.policy}" if record.policy else "no guardrail policy"
        raise NotFound(
            f"What the request {request_id} said is not kept: it was under {policy}.",
            fix="A policy with keep_bodies: true keeps the bodies of what comes under it, for keep_days.",
        )
    return KeptRequest(record, body)


def replay(settings: Settings, engine: Engine, kept: KeptRequest) -> Replay:
    """Send a kept request again, with this machine's key; it is metered and stands in the trace as a child of the first.

    A stored prompt's messages are sent as they were put in, so its version is the same whatever its label says now.

    Raises:
        SluiceError: what the gateway answers, or that it cannot be reached.
    """
    fields: dict[str, Any] = json.loads(kept.body.request)
    fields.pop("stream", None)  # whole answers compare, and streamed ones say the same
    fields.pop("stream_options", None)
    path = next(one.upstream_path for one in ENDPOINTS.values() if one.name == kept.record.endpoint)
    with GatewayClient(*gateway_access(settings), parent=kept.record.request_id) as client:
        answer, request_id = client.post(path, fields)
    notes: list[str] = []
    with Session(engine) as session:
        then, now = (model_of(session, one, kept.record.route) for one in (kept.record.request_id, request_id))
    if then != now:
        notes.append(f"The model has changed: {then or 'unknown'} then, {now or 'unknown'} now.")
    if kept.record.prompt:
        notes.append(f"The prompt is {kept.record.prompt}, as it was put in then.")
    if fields.get("seed") is None and fields.get("temperature") != 0:
        notes.append("The request has no seed and its temperature is not 0: answers may differ by chance.")
    before: Any = None if kept.body.response is None else decoded(kept.body.response)
    return Replay(request_id, texts_of(before), texts_of(answer), notes)


def texts_of(answer: Any) -> list[str]:
    """What each choice says; of embeddings how many there are."""
    if not isinstance(answer, dict):
        return ["(no answer)" if answer is None else str(answer)]
    fields = cast("dict[str, Any]", answer)
    if "choices" not in fields:
        return [f"{len(cast('list[Any]', fields.get('data') or []))} vectors"]
    said: list[str] = []
    for choice in cast("list[dict[str, Any]]", fields["choices"]):
        message = cast("dict[str, Any]", choice.get("message") or {})
        text = choice.get("text") or message.get("content") or ""
        calls = cast("list[dict[str, Any]]", message.get("tool_calls") or [])
        functions = [cast("dict[str, Any]", call.get("function") or {}) for call in calls]
        said.append("\n".join([text, *(f"{one.get('name')}({one.get('arguments')})" for one in functions)]).strip())
    return said


def decoded(body: bytes) -> Any:
    """A body's JSON; its text where it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
