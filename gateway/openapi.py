"""The model endpoints in the application's OpenAPI document, which FastAPI does not see."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.endpoints import ENDPOINTS, Endpoint

INPUTS: dict[str, dict[str, Any]] = {
    "chat.completions": {"messages": {"type": "array", "items": {"type": "object"}, "minItems": 1}},
    "completions": {"prompt": {}},
    "embeddings": {"input": {}},
}
PROMPT: dict[str, Any] = {
    "type": ["object", "null"],
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "version": {"type": ["string", "null"], "description": "A hash, its first 7 digits or more, or a label."},
        "variables": {"type": ["object", "null"]},
    },
    "additionalProperties": False,
}
"""A stored prompt, which may stand for both the model and the messages."""


def install(app: FastAPI) -> None:
    """Let `app.openapi` describe the model endpoints too."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version="1", summary=app.summary, routes=app.routes)
            document["components"] = {
                **document.get("components", {}),
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            }
            _as_answered(document)
            for endpoint in ENDPOINTS.values():
                document["paths"][endpoint.path] = {"post": _operation(endpoint)}
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = describe


def _as_answered(document: dict[str, Any]) -> None:
    """FastAPI takes its own 422 for the answer to a wrong request; here it is OpenAI's 400 (`sluice.http_errors`)."""
    schemas = document["components"].get("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    wrong = {"description": "The request is wrong, or the key may not do this: OpenAI's error object."}
    for operations in document["paths"].values():
        for operation in operations.values():
            if operation["responses"].pop("422", None):
                operation["responses"]["4XX"] = wrong


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    inputs = INPUTS[endpoint.name]
    properties: dict[str, Any] = {"model": {"type": "string"}, **inputs}
    content: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if endpoint.streams:
        properties["stream"] = {"type": ["boolean", "null"]}
        content["text/event-stream"] = {"schema": {"type": "string"}}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": True}
    if endpoint.prompts:
        properties["prompt"] = PROMPT
        schema["anyOf"] = [{"required": ["model", *inputs]}, {"required": ["prompt"]}]
    else:
        schema["required"] = ["model", *inputs]
    return {
        "tags": ["model traffic"],
        "summary": f"OpenAI's {endpoint.path}; every field the model server knows passes through.",
        "operationId": endpoint.name,
        "security": [{"key": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"200": {"description": "The model server's answer.", "content": content}},
    }
