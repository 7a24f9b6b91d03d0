"""Every error of a FastAPI application as OpenAI's error object."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from sluice.errors import InvalidRequest, MethodNotAllowed, NotFound, SluiceError, openai_body

log = logging.getLogger(__name__)


def install_error_responses(app: FastAPI) -> None:
    """Register the handlers."""

    @app.exception_handler(SluiceError)
    async def known(_: Request, error: SluiceError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse(openai_body(error), error.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        first: dict[str, Any] = error.errors()[0]
        if first["type"] == "json_invalid":
            return await known(request, InvalidRequest("The body is not valid JSON.", code="invalid_json"))
        param = ".".join(str(part) for part in first["loc"][1:]) or None
        where = f"'{param}': " if param else "The body: "
        return await known(request, InvalidRequest(f"{where}{first['msg']}.", param=param))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        path = request.url.path
        if error.status_code == 405:
            return await known(request, MethodNotAllowed(f"{path} does not take {request.method}."))
        if error.status_code == 404:
            return await known(
                request, NotFound(f"There is nothing at {path}.", fix="The endpoints are in /openapi.json.")
            )
        if (
            error.status_code == 400
        ):  # what is no JSON in a way that its reader does not name: too deep, too large a number
            return await known(request, InvalidRequest("The body cannot be read.", code="invalid_json"))
        failure = SluiceError(str(error.detail))
        failure.status = error.status_code
        return await known(request, failure)

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        log.error("unexpected error at %s", request.url.path, exc_info=error)
        return await known(request, SluiceError("The server failed unexpectedly.", fix="Its log says how."))
