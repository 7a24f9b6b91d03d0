"""OpenAI's embeddings API over one model: parse, tokenize, batch, answer."""

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sluice.errors import MethodNotAllowed, NotFound, Overloaded, RequestTooLarge, SluiceError, openai_body
from sluice.models.embedding_server import TokenIds, Vectors
from sluice.models.embedding_server.batcher import Batcher
from sluice.models.embedding_server.request import EmbeddingRequest, check_model, parse

if TYPE_CHECKING:
    from sluice.models.embedding_server.encoder import Encoder

logger = logging.getLogger(__name__)
MAX_BODY_BYTES = 32 * 1024 * 1024
T = TypeVar("T")


class _Endpoints:
    """The endpoints, over one named model."""

    def __init__(self, name: str, encoder: "Encoder", batcher: Batcher, registry: CollectorRegistry) -> None:
        self._name = name
        self._encoder = encoder
        self._batcher = batcher
        self._registry = registry

    async def embeddings(self, request: Request) -> Response:
        wanted = parse(await _read_body(request), self._name, self._encoder)
        try:
            inputs, vectors = await _while_connected(request, self._embed(wanted))
        except ClientDisconnect:
            return Response(status_code=499)
        tokens = sum(len(ids) for ids in inputs)
        return _json(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": index, "embedding": embedding}
                    for index, embedding in enumerate(_rendered(vectors, wanted))
                ],
                "model": self._name,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )

    async def models(self, _: Request) -> Response:
        return _json({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        check_model(request.path_params["name"], self._name)
        return _json(self._model())

    async def health(self, _: Request) -> Response:
        if not self._batcher.ready:
            raise Overloaded("The embedding server is stopping.")
        return _json({"status": "ok"})

    async def metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    async def _embed(self, wanted: EmbeddingRequest) -> tuple[list[TokenIds], Vectors]:
        # Tokenizing thousands of texts takes a while and leaves the interpreter to others meanwhile.
        inputs = await asyncio.to_thread(wanted.token_ids, self._encoder)
        return inputs, await self._batcher.embed(inputs)

    def _model(self) -> dict[str, Any]:
        return {
            "id": self._name,
            "object": "model",
            "created": 0,
            "owned_by": "sluice",
            "max_model_len": self._encoder.max_tokens,
        }


def create_app(name: str, encoder: "Encoder", batcher: Batcher, registry: CollectorRegistry) -> Starlette:
    """The server's application; the batcher runs as long as it does."""
    endpoints = _Endpoints(name, encoder, batcher, registry)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with batcher:
            yield

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/v1/embeddings", endpoints.embeddings, methods=["POST"]),
            Route("/v1/models", endpoints.models),
            Route("/v1/models/{name:path}", endpoints.model),
            Route("/health", endpoints.health),
            Route("/metrics", endpoints.metrics),
        ],
        exception_handlers={SluiceError: _on_error, HTTPException: _on_http_error, Exception: _on_unexpected},
    )


def _rendered(vectors: Vectors, wanted: EmbeddingRequest) -> list[list[float]] | list[str]:
    if wanted.dimensions is not None and wanted.dimensions < vectors.shape[1]:
        shortened = vectors[:, : wanted.dimensions]
        vectors = shortened / np.maximum(np.linalg.norm(shortened, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    if wanted.encoding_format == "base64":
        return [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
    return vectors.tolist()


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RequestTooLarge(f"The request is larger than {MAX_BODY_BYTES} bytes.")
    return bytes(body)


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await the work, and cancel it when the client goes away.

    Raises:
        ClientDisconnect: it went away.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    """Return when the client goes away: with the body read, no other message can follow."""
    await request.receive()


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _on_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, SluiceError)
    if error.status >= 500 and error.__cause__:
        logger.error("%s", error, exc_info=error)
    return _json(openai_body(error), error.status)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path}"
    if error.status_code == 405:
        return await _on_error(request, MethodNotAllowed(f"There is no {where}."))
    return await _on_error(request, NotFound(f"There is no {where}."))


async def _on_unexpected(_: Request, error: Exception) -> Response:
    return _json(openai_body(SluiceError("The embedding server failed on this request.")), 500)
