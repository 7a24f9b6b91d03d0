"""The endpoints that carry model traffic."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["chat", "embedding", "service"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path of OpenAI's API that the gateway forwards to a model server.

    Attributes:
        name: stands in usage records and metrics.
        upstream_path: below the upstream's base URL, which ends in /v1.
        kind: what the model must be able to do.
        streams: whether a client may ask for an event stream.
        prompts: whether the field `prompt` names a stored prompt.
    """

    path: str
    name: str
    upstream_path: str
    kind: Kind
    streams: bool
    prompts: bool = False


ENDPOINTS = {
    endpoint.path: endpoint
    for endpoint in (
        Endpoint("/v1/chat/completions", "chat.completions", "/chat/completions", "chat", streams=True, prompts=True),
        Endpoint("/v1/completions", "completions", "/completions", "chat", streams=True),
        Endpoint("/v1/embeddings", "embeddings", "/embeddings", "embedding", streams=False),
    )
}
