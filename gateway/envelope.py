"""The fields of a body that decide where it goes. All others are the model server's to judge and pass as they came."""

import re
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from gateway.endpoints import Endpoint
from sluice.errors import InvalidRequest

_MESSAGE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<param>.*)`)?$")
_MISSING = re.compile(r"Object missing required field `(.*)`")

LONGEST_REASON = 200
"""Characters; the name of an unknown field may have any length."""

ABSENT = Raw()
"""Of a field that the body does not have; falsy."""

Decoded = TypeVar("Decoded")


class StreamOptions(msgspec.Struct):
    """OpenAI's `stream_options`."""

    include_usage: bool | None = None


class Envelope(msgspec.Struct):
    """What the gateway must know of a request's body.

    Attributes:
        prompt: on endpoints that take stored prompts, the one named (`gateway.prompt_step`); else the client's text.
        messages: this and all below say how many tokens a call may come to (`gateway.metering.demand`); as they came.
    """

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | UnsetType | None = UNSET
    prompt: Raw = ABSENT
    messages: Raw = ABSENT
    input: Raw = ABSENT
    suffix: Raw = ABSENT
    tools: Raw = ABSENT
    functions: Raw = ABSENT
    documents: Raw = ABSENT
    response_format: Raw = ABSENT
    chat_template_kwargs: Raw = ABSENT
    chat_template: Raw = ABSENT
    prompt_embeds: Raw = ABSENT
    max_completion_tokens: Raw = ABSENT
    max_tokens: Raw = ABSENT
    min_tokens: Raw = ABSENT
    n: Raw = ABSENT
    best_of: Raw = ABSENT

    @property
    def asks_usage(self) -> bool:
        """Whether the client itself wants the usage event of a stream."""
        return isinstance(self.stream_options, StreamOptions) and bool(self.stream_options.include_usage)


class _WithoutModel(Envelope):
    """Of a body that leaves the model to its prompt."""

    model: str = ""


_envelopes = msgspec.json.Decoder(Envelope)
_without_model = msgspec.json.Decoder(_WithoutModel)
_fields = msgspec.json.Decoder(dict[str, Raw])
_options: msgspec.json.Decoder[dict[str, Raw] | None] = msgspec.json.Decoder(dict[str, Raw] | None)


def read_envelope(body: bytes, *, prompts: bool = False) -> Envelope:
    """Parse a body, as JSON throughout and as an `Envelope` where it is one.

    Args:
        prompts: whether the endpoint takes stored prompts: a body that names one need not name a model.

    Raises:
        InvalidRequest: malformed JSON, or an envelope field that is missing or of the wrong type; `param` names it.
    """
    try:
        return decode(_envelopes, body)
    except InvalidRequest:
        if prompts and (envelope := decode(_without_model, body)).prompt:
            return envelope
        raise


def read_fields(body: bytes) -> dict[str, Raw]:
    """All fields of a body that `read_envelope` took.

    Raises:
        InvalidRequest: a field's name is not UTF-8; `read_envelope` passes over the names it does not look for.
    """
    return decode(_fields, body)


def decode(decoder: msgspec.json.Decoder[Decoded], data: bytes | Raw, field: str = "") -> Decoded:
    """What the decoder makes of a body, or of one field of it.

    Raises:
        InvalidRequest: malformed JSON, or something that is missing or of the wrong type; `param` names it.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _wrong(str(error), field) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.", code="invalid_json") from None
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not valid JSON: it is not UTF-8.", code="invalid_json") from None
    except RecursionError:
        raise InvalidRequest("The body's JSON is nested too deeply.", code="invalid_json") from None


def body_for_upstream(body: bytes, envelope: Envelope, endpoint: Endpoint, upstream_model: str | None) -> bytes:
    """The body to send on: the client's own bytes, but for the model's name there and a wish for the usage event.

    Every stream is asked for its usage, so that it can be metered; `EventCopy` hides the event from a client that did
    not ask for it.

    Raises:
        InvalidRequest: as `read_fields`.
    """
    wants_usage = bool(envelope.stream) and endpoint.streams and not envelope.asks_usage
    if upstream_model is None:
        if not wants_usage:
            return body
        if envelope.stream_options is UNSET:
            return body[: body.rindex(b"}")] + b',"stream_options":{"include_usage":true}}'
    fields = read_fields(body)
    if upstream_model is not None:
        fields["model"] = Raw(msgspec.json.encode(upstream_model))
    if wants_usage:
        options = decode(_options, fields.get("stream_options", b"null")) or {}
        fields["stream_options"] = Raw(msgspec.json.encode({**options, "include_usage": True}))
    return msgspec.json.encode(fields)


def with_model(body: bytes, model: str) -> bytes:
    """A body that was ready to be sent, for an upstream that knows the model by another name."""
    return msgspec.json.encode(read_fields(body) | {"model": Raw(msgspec.json.encode(model))})


def _wrong(message: str, field: str) -> InvalidRequest:
    found = _MESSAGE.match(message)
    what, within = (found["what"], found["param"]) if found else (message, None)
    missing = _MISSING.fullmatch(what)
    what = "The field is required" if missing else what[:LONGEST_REASON]
    param = ".".join(part for part in (field, within, missing and missing[1]) if part) or None
    return InvalidRequest(f"'{param}': {what}." if param else f"The body: {what}.", param=param)
