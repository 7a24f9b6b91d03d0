"""Retrieval's routes in the services process."""

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, Field

from rag.answering import answer
from rag.index.opened import OpenIndexes
from rag.settings import rag_settings
from sluice.gateway_client import GatewayClient
from sluice.processes.plan import gateway_url
from sluice.services import Caller, Services

QUERY_CHARACTERS = 4_000


class SearchBody(BaseModel):
    """`POST /v1/search`."""

    query: Annotated[str, Field(min_length=1, max_length=QUERY_CHARACTERS)]
    index: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 10


class AskBody(BaseModel):
    """`POST /v1/ask`."""

    question: Annotated[str, Field(min_length=1, max_length=QUERY_CHARACTERS)]
    index: str | None = None


def mount(services: Services) -> None:
    """Add the routes. They are plain functions: each runs in a thread, and calls the gateway with the caller's key."""
    indexes = OpenIndexes(services.settings, services.engine)
    base_url = f"{gateway_url(services.settings.gateway)}/v1"

    @services.app.post("/v1/search")
    def search(body: SearchBody, caller: Caller) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        with GatewayClient(base_url, caller.key, parent=caller.request_id or None) as client:
            index = indexes.open(body.index, client)
            return {"index": index.version.id, "hits": [asdict(hit) for hit in index.search(body.query, body.limit)]}

    @services.app.post("/v1/ask")
    def ask(body: AskBody, caller: Caller) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        parent = caller.request_id or None
        with GatewayClient(base_url, caller.key, parent=parent) as client:
            index = indexes.open(body.index, client)
            rag = rag_settings(services.settings)
            return asdict(answer(body.question, index, rag=rag, engine=services.engine, parent=parent))

    async def close() -> None:
        indexes.close()

    services.on_stop.append(close)
