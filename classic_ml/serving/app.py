"""The HTTP face of predictions."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from classic_ml.serving.predictor import Predictor
from sluice.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    RequestTooLarge,
    SluiceError,
    openai_body,
)
from sluice.home import Home
from sluice.identity import Identity, Keyring
from sluice.settings import KeySettings

logger = logging.getLogger(__name__)
MAX_BODY_BYTES = 64 * 1024


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/predict/{model}`."""

    entity: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _Endpoints:
    def __init__(self, predictor: Predictor, keyring: Keyring) -> None:
        self._predictor = predictor
        self._keyring = keyring

    async def predict(self, request: Request) -> Response:
        identity = await self._authenticate(request)
        model = request.path_params["model"]
        if not identity.may_use(model):
            raise NotFound(f"There is no model '{model[:100]}', or not for this key.", param="model")
        wanted = await _parse(request)
        request_id = request.headers.get("x-request-id")
        prediction, features_at = await asyncio.to_thread(self._predictor.predict, model, wanted.entity, request_id)
        return _json(
            {
                "id": prediction.id,
                "object": "prediction",
                "model": model,
                "version": prediction.version,
                "entity": prediction.entity,
                "score": prediction.score,
                "at": prediction.at,
                "features_at": features_at,
            }
        )

    async def health(self, _: Request) -> Response:
        return _json({"status": "ok"})

    async def _authenticate(self, request: Request) -> Identity:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise NotAuthenticated
        return await self._keyring.authenticate(token.strip().encode())


def create_app(engine: Engine, home: Home, keys: KeySettings) -> Starlette:
    """The application; its keys stay fresh as long as it runs."""
    keyring = Keyring(engine, keys)
    endpoints = _Endpoints(Predictor(engine, home), keyring)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        await keyring.start()
        yield
        await keyring.stop()

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/v1/predict/{model}", endpoints.predict, methods=["POST"]),
            Route("/health", endpoints.health),
        ],
        exception_handlers={SluiceError: _on_error, HTTPException: _on_http_error, Exception: _on_unexpected},
    )


async def _parse(request: Request) -> PredictRequest:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RequestTooLarge(f"The request is larger than {MAX_BODY_BYTES} bytes.")
    try:
        return msgspec.json.decode(body, type=PredictRequest)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The body is wrong: {error}.", fix='Expected {"entity": "<id>"}.') from None


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _on_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, SluiceError)
    return _json(openai_body(error), error.status)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"There is no {request.method} {request.url.path}."
    return await _on_error(request, MethodNotAllowed(what) if error.status_code == 405 else NotFound(what))


async def _on_unexpected(_: Request, error: Exception) -> Response:
    logger.error("A prediction failed.", exc_info=error)
    return _json(openai_body(SluiceError("The prediction failed.", fix="See: sluice logs predictions")), 500)
