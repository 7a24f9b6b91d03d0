"""Who answers each model name: what the conventions call provider and response model, known from the settings."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.endpoints import Endpoint
from sluice.settings import Settings

OPERATIONS = {"chat.completions": "chat", "completions": "text_completion", "embeddings": "embeddings"}
"""`gen_ai.operation.name` by endpoint; the platform's services are no such operation."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where requests for a model go.

    Attributes:
        provider: `gen_ai.provider.name`.
        model: the name the upstream knows it by.
        address: host and port.
    """

    provider: str
    model: str
    address: str


def destinations(settings: Settings) -> dict[str, Destination]:
    """By the name that clients ask for; of a route with several upstreams, its first."""
    known: dict[str, Destination] = {}
    for name, model in settings.models.items():
        provider = "vllm" if model.kind == "chat" else "sentence_transformers"
        known[name] = Destination(provider, name, f"127.0.0.1:{model.port}")
    for name, route in settings.routes.items():
        target = route.targets[0]
        if target.serves is not None:
            known[name] = known[target.serves]
        else:  # a server of OpenAI's API does not say whose it is
            known[name] = Destination(
                target.provider or "openai", target.model or name, urlsplit(target.url or "").netloc
            )
    for service in settings.services.values():
        for name in service.models:
            known[name] = Destination("sluice", name, f"127.0.0.1:{service.port}")
    return known


def operation_of(endpoint: Endpoint) -> str | None:
    """`gen_ai.operation.name`; None for what is none."""
    return OPERATIONS.get(endpoint.name)
