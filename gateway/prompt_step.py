"""A request that names a stored prompt becomes one that holds its messages."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from gateway.envelope import Envelope, decode, read_fields
from gateway.exchange import Exchange
from gateway.metering.demand import LIMITS
from gateway.prompt_cache import PromptCache
from prompts.registry import DEFAULT_LABEL


class PromptReference(msgspec.Struct, forbid_unknown_fields=True):
    """The field `prompt` of a request; what it names is kept in memory, so it cannot be of any length."""

    id: Annotated[str, Meta(max_length=128)]
    version: Annotated[str, Meta(max_length=64)] | None = None
    variables: dict[str, Any] | None = None


_references: msgspec.json.Decoder[PromptReference | None] = msgspec.json.Decoder(PromptReference | None)
_messages: msgspec.json.Decoder[list[Raw] | None] = msgspec.json.Decoder(list[Raw] | None)


async def put_prompt_in(prompts: PromptCache, exchange: Exchange, body: bytes, envelope: Envelope) -> bytes:
    """The body with the prompt's messages before the client's own, and its parameters where the client has none.

    Raises:
        NotFound: there is no such prompt, version or label.
        InvalidRequest: the field is malformed, or its variables are not those of the prompt; `param` names what.
        StateUnavailable: the version must be looked up, and the database is lost.
    """
    reference = decode(_references, envelope.prompt, "prompt")
    if reference is None:
        return body
    prompt = await prompts.find(reference.id, reference.version or DEFAULT_LABEL)
    exchange.prompt, exchange.variables = prompt.reference, reference.variables
    exchange.headers = {**exchange.headers, b"x-sluice-prompt": prompt.reference.encode()}
    messages = prompt.render(reference.variables or {})
    fields = read_fields(body)
    del fields["prompt"]
    own = decode(_messages, fields.get("messages", b"null"), "messages") or []
    parameters = dict(prompt.parameters)
    if any(name in fields for name in LIMITS):  # the client's own under either name stands against the prompt's
        parameters = {name: value for name, value in parameters.items() if name not in LIMITS}
    if not envelope.model and prompt.model is not None:
        fields["model"] = Raw(msgspec.json.encode(prompt.model))
    return msgspec.json.encode({**parameters, **fields, "messages": [*messages, *own]})
